"""How deep the angle per step falls at a drop of lr, how long it recovers, and what the recursion leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from paper_figs import networks
from paper_figs.grid import Table
from paper_figs.seeds import of_seeds
from sde_si import theory

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
NEAR, FOLLOWS = 0.05, 0.03  # recovered; |measured/recursion - 1| of a recursion that follows
QUANTITIES = ("angle_step", "angle_epoch", "weight_norm")
NAMES = ("as it is", "rescaled")
TITLE = "After the drop: angle per step over its new equilibrium, ± s.e.; over the recursion in the worst epoch"
NOTE = f"epochs until a mean of three, from its minimum on, is {1 - NEAR:g}"
COLUMNS = ("first epoch", "least", f"epochs to {1 - NEAR:g}", "last epoch", "measured/recursion", "gradient kept")
DIGITS = (3, 3, 1, 3, 3, 3)


@dataclass(frozen=True)
class Course:
    """One cell through the drop.

    Attributes
    ----------
    name : str
        As in the table.
    at : int
        Epoch of the drop, counted from 0: the first with the lower rate.
    ratio, gradient : ndarray, shape (seed, epoch)
        Angle per step over Wan's formula; mean squared gradient at the unit vector.
    over : dict of ndarray, shape (seed, epoch)
        Angles and norm over the recursion's, by quantity.
    exact, sde : ndarray, shape (epoch,)
        Angle per step over Wan's formula, of the recursion and of the SDE; no SDE of rescaled weights.
    law : ndarray, shape (epoch - at,)
        The same after the drop with a constant gradient and no rescaling (6.5).
    law_wait : float
        Its epochs until within `NEAR` of 1.
    """

    name: str
    at: int
    ratio: Array
    gradient: Array
    over: dict[str, Array]
    exact: Array
    sde: Array | None
    law: Array
    law_wait: float

    @property
    def carried(self) -> Array:
        """2 Σ μ^k ρ_k of the gradients, shape (seed, epoch)."""
        # 9.10: |v|^2 = lr^2 |g~|^2 (1 + c)/((1 - mu^2) |w|^2), of which the recursion has c = 0 and its own |w|
        return self.over["angle_step"] ** 2 * self.over["weight_norm"] ** 4 - 1

    @property
    def wait(self) -> Array:
        """Epochs until the mean of three is within `NEAR` of 1, from its minimum on; shape (seed,), nan: never."""
        ratio = self.ratio[:, self.at :]
        smooth = (ratio[:, :-2] + ratio[:, 1:-1] + ratio[:, 2:]) / 3
        there = (smooth >= 1 - NEAR) & (np.arange(smooth.shape[1]) >= smooth.argmin(axis=1)[:, None])
        return np.where(there.any(axis=1), there.argmax(axis=1) + 2.0, np.nan)

    @property
    def worst(self) -> Array:
        """Measured angle per step over the recursion's in the worst epoch after the drop, shape (seed,)."""
        after = self.over["angle_step"][:, self.at :]
        return after[:, np.argmax(np.abs(after.mean(axis=0) - 1))]

    @property
    def kept(self) -> Array:
        """Squared gradient of three epochs after the drop over that of three before, shape (seed,)."""
        before, after = self.gradient[:, self.at - 3 : self.at], self.gradient[:, self.at : self.at + 3]
        return after.mean(axis=1) / before.mean(axis=1)


Pairs: TypeAlias = dict[float, tuple[Course, ...]]  # by momentum: as it is, and rescaled


def find(record: xr.Dataset) -> Pairs:
    """Courses of all cells."""
    momenta = np.unique(record["momentum"].values).tolist()
    return {mu: tuple(_course(record, mu, rescaled) for rescaled in (False, True)) for mu in momenta}


def _course(record: xr.Dataset, mu: float, rescaled: bool) -> Course:
    (i,) = networks.pick(record, momentum=mu, rescaled=float(rescaled))
    hp, drop, at = networks.hyperparameters(record, i), float(record["drop"][i]), int(record["drop_epoch"][0])
    wan = np.sqrt(2 * record["lr_end"].values[i] * hp.wd / (1 + mu))
    values = {name: networks.of_cell(record, i, name) for name in QUANTITIES}
    over = {name: values[name] / networks.of_cell(record, i, f"{name}_predicted") for name in QUANTITIES}
    ratio, gradient = values["angle_step"] / wan, networks.of_cell(record, i, "gradient")
    exact, simulated = networks.exact(record, i).angle_step, None if rescaled else networks.sde(record, i, "angle_step")
    u, steps = hp.intrinsic_lr / drop / (1 - mu), float(record["steps_per_epoch"][i][-1])
    middles = (np.arange(record.sizes["epoch"] - at) + 0.5) * steps
    law = np.asarray(theory.lr_drop_angle(middles, u, drop)) / np.sqrt(2 * u)
    sde, wait = None if simulated is None else simulated / wan, theory.lr_drop_steps(u, drop, NEAR) / steps
    return Course(f"μ={mu:g} {NAMES[rescaled]}", at, ratio, gradient, over, exact / wan, sde, law, wait)


def table(found: Pairs) -> Table:
    """Depth, wait and end of every cell, and how far the recursion follows."""
    rows = {}
    for one in chain(*found.values()):
        after = one.ratio[:, one.at :]
        shown = (after[:, 0], after.min(axis=1), one.wait, after[:, -1], one.worst, one.kept)
        rows[one.name] = tuple(map(of_seeds, shown, DIGITS))
    return Table(title=TITLE, note=NOTE, corner="", rows=tuple(rows), columns=COLUMNS, cells=tuple(rows.values()))


def seen(data: str, found: Pairs) -> str:
    """What rescaling spares, which recursions follow, what the others leave out; `data`: what was trained on what."""
    plain, courses = {mu: pair[0] for mu, pair in found.items()}, list(chain(*found.values()))
    last, at = plain[max(plain)], courses[0].at
    before, first, late = slice(at - 3, at), slice(at, at + 1), slice(-3, None)
    spared = [f"{of_seeds(one.wait - other.wait, 1)} of {of_seeds(one.wait, 1)} (μ={mu:g})"
              for mu, (one, other) in found.items()]  # fmt: skip
    follow = {one.name: bool(abs(one.worst.mean() - 1) <= FOLLOWS) for one in courses}
    good, bad = (", ".join(name for name in follow if follow[name] is wanted) or "none" for wanted in (True, False))
    means = [last.carried[:, part].mean(axis=1) for part in (before, first, late)]
    c = [f"{of_seeds(x)} {'(they pull back)' if x.mean() < 0 else '(they point the same way)'}" for x in means]
    turned = {mu: one.over["angle_epoch"] for mu, one in plain.items()}
    turns = [f"{' to '.join(of_seeds(x[:, part].mean(axis=1)) for part in (before, first))} (μ={mu:g})"
             for mu, x in turned.items()]  # fmt: skip
    short, kept = last.over["weight_norm"][:, at - 1], [one.kept.mean() for one in courses]
    text = f"""{data}. Of the epochs until the angle per step (mean of three epochs, from its minimum on) is
    within {NEAR:.0%} of its new equilibrium, rescaling spares {", ".join(spared)}. The recursion with the measured
    gradients stays within {FOLLOWS:.0%} of the measurement for: {good}; not for: {bad}. It has the optimizer's form of
    momentum (9.10, P), and lr changes between
    two epochs, so that no mean mixes two rates. Beside changes within an epoch it leaves out only <velocity, gradient>,
    and nothing at μ=0: there it is an identity (1.1), no test. The right panel has that, from angle, norm and gradient,
    in units of the squared gradient; ρ_k is the correlation of gradients k steps apart. As it is: {c[0]} before the
    drop, which leaves the angle, but makes the norm {of_seeds(short)} of the recursion's, and so the angle after the
    drop {of_seeds(short**-2)} times as large; {c[1]} in the first epoch after it; {c[2]} at last. The angle per epoch
    over that of uncorrelated steps goes at the drop from {", ".join(turns)}. With the paper's constant gradient the
    wait is {max(one.law_wait for one in plain.values()):.1f} epochs, and none after rescaling; here the squared
    gradient goes to {min(kept):.2f} to {max(kept):.2f} of what it was (means of three epochs)."""
    return " ".join(text.split())
