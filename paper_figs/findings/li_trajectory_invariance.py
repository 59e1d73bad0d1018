"""How loss curves of a network collapse at equal lr and at equal lr wd, and when each of them changes over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from paper_figs import networks, style
from paper_figs.grid import Table
from paper_figs.seeds import of_seeds
from validation.experiments.catalogue.li_trajectory_invariance import changes, scores, since

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
GROUPS = {"lr_factor": "equal lr", "product": "equal lr wd"}
NAMES = {"adamw": "AdamW", "sgdm": "SGDM"}
TITLE = "Epoch from which the curve at (lr, wd) stays nearer to that at (4 lr, wd/4) than to that at (lr, wd/4), ± s.e."
SHOWN = {"angle_step_predicted": "angle, recursion", "angle_step": "angle", "train_loss": "loss"}
NOTE = "×: lr wd; ticks: norm's memory; lines of AdamW, and of all losses, only join what is measured"


@dataclass(frozen=True)
class Method:
    """One optimizer.

    Attributes
    ----------
    name : str
    rate, product : ndarray, shape (cell,)
        Factors of lr and of lr wd.
    memory : dict of float to float
        Of the norm in epochs, by the factor of lr wd.
    loss, angle : ndarray, shape (cell, seed, epoch)
        Training loss over the geometric mean of all cells, and rms angle per step in degrees.
    law, formula : ndarray, shape (cell, epoch)
        That angle by the recursion, nan where there is none, and in equilibrium.
    score : dict of str to ndarray, shape (seed, epoch + 2)
        Spread of ln loss within groups (`GROUPS`) over that of all: of every epoch, the first eighth, the last quarter.
    changed : dict of str to dict of (float, float) to ndarray, shape (seed,)
        Of a quantity of `SHOWN`, by factors of lr and wd: from which epoch a curve is nearer to that of equal lr wd.
    """

    name: str
    rate: Array
    product: Array
    memory: dict[float, float]
    loss: Array
    angle: Array
    law: Array
    formula: Array
    score: dict[str, Array]
    changed: dict[str, dict[tuple[float, float], Array]]

    @property
    def gap(self) -> Array:
        """Spread at equal lr wd less that at equal lr, shape (seed, epoch + 2)."""
        return self.score["equal lr wd"] - self.score["equal lr"]


class Found(NamedTuple):
    """Which data, their epochs, the factors of lr and of lr wd, and the optimizers."""

    caption: str
    epoch: Array
    rates: Array
    products: Array
    methods: list[Method]


def find(record: xr.Dataset) -> Found:
    """All curves, and how they collapse."""
    names, rates, products = (np.unique(record[key].values) for key in ("method", "lr_factor", "product"))
    methods = [_method(record, str(name)) for name in names]
    return Found(networks.caption(record), record["epoch"].values, rates, products, methods)


def _method(record: xr.Dataset, name: str) -> Method:
    cells = networks.pick(record, method=name)
    loss, angle = (np.array([networks.of_cell(record, i, key) for i in cells]) for key in ("train_loss", "angle_step"))
    hps = [networks.hyperparameters(record, i) for i in cells]
    # In equilibrium the squared angle of AdamW is 1 - mu times that of the formula, and 1/(2 lr wd) steps its memory.
    left = np.array([1 - hp.momentum for hp in hps])[:, None]
    share, steps = (left, 0.5) if name == "adamw" else (1.0, left[:, 0] / 4)
    memory = steps / np.array([hp.intrinsic_lr for hp in hps]) / [hp.steps_per_epoch for hp in hps]
    formula = np.array([networks.formula(record, i, "angle_step") for i in cells])
    return Method(
        name=NAMES[name], rate=record["lr_factor"].values[cells], product=record["product"].values[cells],
        memory={float(record["product"][i]): at for i, at in zip(cells, memory.tolist(), strict=True)},
        loss=loss / np.exp(np.log(loss).mean(axis=0)), angle=style.DEGREES * angle,
        law=style.DEGREES * np.array([networks.exact(record, i).angle_step for i in cells]),
        formula=style.DEGREES * formula * share**0.5,
        score={kind: scores(record, name, key) for key, kind in GROUPS.items()},
        changed={key: changes(record, name, key) for key in SHOWN if key in record},
    )  # fmt: skip


def seen(found: Found) -> str:
    """Which collapse is ahead when, and what the memory of the norm says of it."""
    last, memory = found.epoch.size, found.methods[-1].memory
    ordered = all(one.gap[:, -2].mean() > 0 > one.gap[:, -1].mean() for one in found.methods)
    text = f"""{found.caption}. Spread of ln loss within groups over that of all, seed by seed (0: one curve,
    1: no collapse). {". ".join(map(_collapse, found.methods))}. {"This is" if ordered else "This is not"} the order of
    Li et al., equal lr first and equal lr wd later. The memory of the norm is
    {", ".join(f"{at:.3g} (×{p:g})" for p, at in memory.items())} epochs:
    {" and ".join(f"×{p:g}" for p, at in memory.items() if at > last) or "none"} cannot collapse in {last}. When
    the change comes product by product is in the table; why the loss does not change with the angle is not known.
    Dashed is the equilibrium of Wan et al. and, for AdamW, Kosson et al.: Li et al. have no formula, and AdamW no
    recursion here. Theirs is a language model with AdamW; we have no number of their collapse. SGDM is not theirs."""
    return " ".join(text.split())


def _collapse(one: Method) -> str:
    at = [", ".join(f"{of_seeds(score[:, w])} at {kind}" for kind, score in one.score.items()) for w in (-2, -1)]
    turn = of_seeds(np.array([since(gap < 0) + 1 for gap in one.gap[:, :-2]]), 1)
    return f"{one.name}: first eighth {at[0]}; last quarter {at[1]}; equal lr wd is ahead from epoch {turn} on"


def table(found: Found) -> Table:
    """When each curve changes over."""
    rows = {}
    for one in found.methods:
        for a, b in one.changed["train_loss"]:
            texts = (of_seeds(one.changed[key][a, b], 1) if one.changed.get(key) else "none" for key in SHOWN)
            rows[f"{one.name}, lr ×{a:g}, wd ×{b:g}"] = (f"×{a * b:g}", f"{one.memory[a * b]:.1f}", *texts)
    columns = ("lr wd", "memory of the norm", *SHOWN.values())
    return Table(title=TITLE, corner="", rows=tuple(rows), columns=columns, cells=tuple(rows.values()))
