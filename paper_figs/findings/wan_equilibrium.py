"""Norm and angle per step of every layer over Wan et al.'s formulas, and what the drift of the norm has in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks, phases
from paper_figs.seeds import of_seeds, seed_error, seed_mean

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
EXPLAINED = 0.002  # what the drift may leave of the angle's ratio if it is the reason
WHOLE = 0.02  # how far the norm's fourth power may be off if the formula holds


@dataclass(frozen=True)
class Cell:
    """One setting; norms and angles per step are over Wan's formulas, after the transient.

    Attributes
    ----------
    index : int
        Of the record's cell.
    label : str
        Learning rate and weight decay over those of the column, and whether it is reshuffled.
    reshuffled : bool
    norm, angle, drifting_norm, drifting_angle : ndarray, shape (layer, seed)
        Measured; then as a norm has them that changes by as much as the measured one.
    noise_norm : float
        Of the whole network, by noise without signal.
    kept : float
        Squared gradient of the whole network in the last quarter of the late epochs over that in the first.
    """

    index: int
    label: str
    reshuffled: bool
    norm: Array
    angle: Array
    drifting_norm: Array
    drifting_angle: Array
    noise_norm: float
    kept: float


@dataclass(frozen=True)
class Column:
    """The cells of one momentum, with their largest learning rate and smallest weight decay."""

    momentum: float
    lr: float
    wd: float
    cells: tuple[Cell, ...]

    @property
    def rest(self) -> Array:
        """The fourth power of the norm over that of a drifting one, less 1, shape (cell, layer, seed)."""
        return np.array([(cell.norm / cell.drifting_norm) ** 4 - 1 for cell in self.cells])


def find(record: xr.Dataset) -> tuple[Column, ...]:
    """A column for every momentum."""
    return tuple(_column(record, momentum) for momentum in np.unique(record["momentum"].values).tolist())


def _column(record: xr.Dataset, momentum: float) -> Column:
    indices = networks.pick(record, momentum=momentum)
    lr, wd = record["lr"].values[indices].max(), record["wd"].values[indices].min()
    cells = []
    for i in indices:
        reshuffled = bool(record["sampling"].values[i] == "reshuffle")
        label = f"lr × {record['lr'].values[i] / lr:g}, wd × {record['wd'].values[i] / wd:.2g}"
        gradient, noise = (networks.of_cell(record, i, name)[:, phases.late(record, i)]
                           for name in ("gradient", "noise_trace"))  # fmt: skip
        quarter = max(1, gradient.shape[1] // 4)
        cells.append(Cell(
            i, f"{label}, reshuffled" if reshuffled else label, reshuffled, *_ratios(record, i),
            noise_norm=float((noise.mean() / gradient.mean()) ** 0.25),
            kept=float(gradient[:, -quarter:].mean() / gradient[:, :quarter].mean()),
        ))  # fmt: skip
    return Column(momentum, lr, wd, tuple(cells))


def _ratios(record: xr.Dataset, i: int) -> Array:
    """Norm and angle over Wan's after the transient, then those of a drifting norm, shape (4, layer, seed).

    |x'|^2 - |x|^2 = 2 <x', v'> - |v'|^2 and <x', v'> = mu <x, v> - u |x|^2 + |v'|^2 are identities: if <x, v>/|x|^2 is
    the same at both ends, |v|^2/|x|^2 is on average 2u/(1 + mu) (1 + (1 - mu)/u times the change of ln|x| per step).
    |x|^4 has the mean of Wan's less its change per 4u/(1 - mu), if gradients are uncorrelated (9.4).
    """
    hp = networks.hyperparameters(record, i)
    first, u, mu = (
        min(int(phases.transient_end(hp.tuning_factor)), record.sizes["epoch"] - 2),
        hp.intrinsic_lr,
        hp.momentum,
    )
    layers = [group for group in record["group"].values.tolist() if group != "all"]
    norm, angle, gradient = (np.array([networks.of_cell(record, i, name, layer) for layer in layers])
                             for name in ("weight_norm", "angle_step", "gradient"))  # fmt: skip
    wan = hp.lr * gradient[:, :, first:].mean(axis=2) / (hp.wd * (1 - mu) * (2 - u / (1 + mu)))  # of |x|^4
    turned = np.sqrt((angle[:, :, first:] ** 2).mean(axis=2) * (1 + mu) / (2 * u))
    ends, memory = norm[:, :, [first - 1, -1]], (norm.shape[2] - first) * hp.tuning_factor
    drifting = 1 - np.diff(ends**4)[:, :, 0] / (4 * memory) / wan
    level = np.mean(norm[:, :, first:] ** 4, axis=2) / wan
    return np.array([level**0.25, turned, drifting**0.25, np.sqrt(1 + np.diff(np.log(ends))[:, :, 0] / memory)])


def seen(columns: tuple[Column, ...]) -> str:
    """How far angle and norm of a layer are from the formulas, and why."""
    cells = [cell for column in columns for cell in column.cells]
    angle = np.concatenate([cell.angle for cell in cells])
    mean, error = seed_mean(angle), seed_error(angle)
    left = max(angle - np.concatenate([cell.drifting_angle for cell in cells]), key=lambda rest: abs(rest.mean()))
    drifts, holds = abs(left.mean()) <= EXPLAINED, [one for one in columns if abs(one.rest.mean()) <= WHOLE]
    kept, noise = [cell.kept for cell in cells], [cell.noise_norm for cell in cells]
    text = f"""After the transient the rms angle per step of a layer is {mean.min():.3f} to
    {mean.max():.3f} of sqrt(2u/(1+μ)), ± {error.max():.3f} at most, below 1 in {(mean < 1).sum()} of {mean.size}
    cases. {"The reason is" if drifts else "Only a part of it is"} that no norm is stationary yet: by identities the
    ratio is sqrt(1 + change of ln norm per epoch/tuning factor) (short lines), and the furthest measured one is
    {of_seeds(left, 4)} from it. Norms follow the squared gradient, which goes to {min(kept):.2f} to {max(kept):.2f} of
    itself from the first to the last quarter of these epochs. Norm over Wan's; its fourth power over that of a norm
    drifting so with uncorrelated gradients, less 1, in the first and in the last layer:
    {"; ".join(_norms(column) for column in columns)}. That rest
    is 2 Σ μ^k ρ_k with ρ_k the correlation of gradients k steps apart, negative where they pull back; without momentum
    it is not there, and the angle does not feel it. The SDE knows no signal: its norm is {min(noise):.2f} to
    {max(noise):.2f} of the formula (4.3). Wan et al. take gradients as constant in size and uncorrelated: their angle
    holds {"but for the drift" if drifts else "roughly"}, their norm for:
    {", ".join(f"μ={column.momentum:g}" for column in holds) or "none"}."""
    return " ".join(text.split())


def _norms(column: Column) -> str:
    """Range of the norm's ratio, and the rest in the first and in the last layer."""
    ratios = np.array([cell.norm for cell in column.cells])
    norm, error = seed_mean(ratios), seed_error(ratios)
    ends = " and ".join(of_seeds(column.rest[:, k].mean(axis=0), 3) for k in (0, -1))
    return f"μ={column.momentum:g}: {norm.min():.3f} to {norm.max():.3f} ± {error.max():.3f}, {ends}"
