"""Training on the sphere at fixed rates: courses, regimes, final loss and error, and how the paper's groups compare."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from paper_figs import networks, style
from paper_figs.rates import FixedRates, fixed_rates
from paper_figs.seeds import of_seeds, seed_mean
from sde_si.regimes import BORDER, REGIMES, UNDECIDED, classify

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
SHOWN = (1e-4, 1e-3, 1e-2, 2e-2, 3e-2, 2e-1)  # rates with curves: more cannot be told apart


class Above(NamedTuple):
    """A rate, its loss over that of random weights and over that of the same seed's, (seed,), its step in degrees."""

    rate: float
    multiple: Array
    own: Array
    step: float


@dataclass(frozen=True)
class Found:
    """What the record shows.

    Attributes
    ----------
    caption : str
    epoch : ndarray, shape (epoch,)
    tenth : int
        How many epochs the last tenth has: of them are means.
    fixed : FixedRates
    loss, gradient_norm : dict of float to tuple of ndarray, shape (epoch,)
        By rate mean and standard error of the training loss, and of the gradient's norm on the unit sphere.
    level, wrong : ndarray, shape (rate, seed)
        Mean training loss of the last tenth of the epochs, and test error at the end in per cent.
    random : float
        Loss of random weights.
    above : list of Above
    unsure : dict of float to str
        Why a rate's regime is undecided.
    groups : list of (str, float, float)
        The paper's regimes, each with its lowest and highest effective learning rate.
    """

    caption: str
    epoch: Array
    tenth: int
    fixed: FixedRates
    loss: dict[float, tuple[Array, Array]]
    gradient_norm: dict[float, tuple[Array, Array]]
    level: Array
    wrong: Array
    random: float
    above: list[Above]
    unsure: dict[float, str]
    groups: list[tuple[str, float, float]]


def find(record: xr.Dataset) -> Found:
    """Courses, levels and regimes."""
    fixed, tenth, paper = fixed_rates(record), max(1, record.sizes["epoch"] // 10), json.loads(record.attrs["paper"])
    loss, right = (np.array([networks.of_cell(record, i, name) for i in fixed.cells])
                   for name in ("train_loss", "test_accuracy"))  # fmt: skip
    level = loss[:, :, -tenth:].mean(axis=-1)
    return Found(
        caption=networks.caption(record), epoch=record["epoch"].values, tenth=tenth, fixed=fixed,
        loss=_courses(record, fixed, "train_loss"), gradient_norm=_courses(record, fixed, "gradient", 0.5),
        level=level, wrong=100 * (1 - right[:, :, -1]),
        random=float(record.attrs["random_loss"]), above=_above(record, fixed, level, tenth),
        unsure={fixed.rates[k]: _why(record, fixed.cells[k]) for k in np.flatnonzero(fixed.regimes == UNDECIDED)},
        groups=[(name, min(of), max(of)) for name, of in zip(paper["regimes"], paper["effective_lr"], strict=True)],
    )  # fmt: skip


def _courses(record: xr.Dataset, fixed: FixedRates, name: str, power: float = 1.0) -> dict[float, Any]:
    """Mean and standard error of a power of a quantity at the rates `SHOWN`."""
    return {rate: networks.mean_and_error(networks.of_cell(record, i, name) ** power)
            for i, rate in zip(fixed.cells, fixed.rates, strict=True) if np.isclose(rate, SHOWN).any()}  # fmt: skip


def _why(record: xr.Dataset, i: int) -> str:
    """What `sde_si.regimes` says of a cell."""
    loss, norm, angle = (record[name][i].values for name in ("train_loss", "gradient", "angle_step"))
    known = {"iterations": np.cumsum(record["steps_per_epoch"][i].values), "random_loss": record.attrs["random_loss"]}
    return classify(loss, np.sqrt(norm), angle, **known).why.replace("+-", "±")


def _above(record: xr.Dataset, fixed: FixedRates, level: Array, tenth: int) -> list[Above]:
    """Rates whose level is above the loss of random weights."""
    # The last layer is fixed and belongs to the seed, and with it the loss of random weights: compare by seed, too.
    random, own = float(record.attrs["random_loss"]), networks.of_cell(record, fixed.cells[0], "train_loss")[:, 0]
    found = []
    for k in np.flatnonzero(seed_mean(level) > random):
        turn = style.DEGREES * networks.of_cell(record, fixed.cells[k], "angle_step")[:, -tenth:].mean()
        found.append(Above(fixed.rates[k], level[k] / random, level[k] / own, turn))
    return found


def seen(found: Found) -> str:
    """Regimes, levels above that of random weights, and the paper's groups."""
    (low, high), rates, regimes = found.fixed.threshold, found.fixed.rates, found.fixed.regimes
    told = "; ".join(f"{name}: {', '.join(f'{r:g}' for r in rates[regimes == name]) or 'none'}" for name in REGIMES)
    unsure = "; ".join(f"{rate:g}, {why}" for rate, why in found.unsure.items()) or "none"
    best, ((_, _, end), (_, begin, _), *_) = seed_mean(found.wrong).argmin(), found.groups
    above = "; ".join(f"{one.rate:g}: {of_seeds(one.multiple)} ({of_seeds(one.own)}, {one.step:.0f} degrees)"
                      for one in found.above)  # fmt: skip
    theirs = "; ".join(_beside(found.fixed, *one) for one in found.groups)
    threshold = f"{low:g} to {high:g}, {low / begin:.2g} to {high / end:.2g} times theirs"
    text = f"""{found.caption}. By sde_si.regimes: {told}. Undecided (the gradient norm's border of
    convergence is t^-{BORDER:g}): {unsure}. Least test error: {of_seeds(found.wrong[best], 1)} % at {rates[best]:g}.
    Random weights have a loss of {found.random:.2f}. Levels above it, as multiples (in brackets of the same seeds' loss
    in the first epoch at {rates[0]:g}, nearly that of random weights; angle per step): {above or "none"}. Weights that
    a step turns by a right angle are little but one gradient; those need not have the loss of random ones. Paper's
    groups (grey, as its notebook draws them, ConvNet on CIFAR-10): {theirs}. Threshold of convergence here:
    {threshold if low < high else "none"} (network and data are others; more is not known)."""
    return " ".join(text.split())


def _beside(fixed: FixedRates, name: str, low: float, high: float) -> str:
    """A group of the paper, and the regimes of our rates in it."""
    here = [f"{r:g} {x}" for r, x in zip(fixed.rates, fixed.regimes, strict=True) if low <= r <= high]
    return f"{name} from {low:g} to {high:g}, here {', '.join(here) or 'no rate'}"
