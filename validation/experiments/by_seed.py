"""The numbers of the tricks' table, seed by seed: ratios of angles, drifts of the norm, splits of the cosine.

Nothing of this is stored: whoever judges, draws or prints takes it from here, so that table, picture and verdicts
cannot differ, and a change needs no training.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sde_si.estimators import mean_and_error

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
BASE = "none"
# Every data set of `validation.data` has ten classes. A network that always gives one answer hits the share of one
# class, which varies a little between test sets; twice chance is far from that and from every network that learns.
DEAD = 2 * 0.1


class Split(NamedTuple):
    """The cosine per epoch in parts (theory.md 1.11), averaged over late epochs and living seeds; nan: not recorded.

    The angles are taken epoch by epoch and seed by seed and then averaged, as the measured angle is: the arc cosine of
    an average of cosines is larger wherever epochs or seeds differ.

    Attributes
    ----------
    decay, velocity, drift : float
    angle : float
        Of all three, in rad: the measured angle again.
    free, free_stderr : float
        Angle of decay and velocity alone over the transient's, mean of the seeds' ratios and its error: noise alone has
        no drift term.
    """

    decay: float
    velocity: float
    drift: float
    angle: float
    free: float
    free_stderr: float


def late(record: xr.Dataset) -> xr.Dataset:
    """The last third of the epochs."""
    return record.isel(epoch=slice(-max(1, record.sizes["epoch"] // 3), None))


def drifts(record: xr.Dataset, name: str = "weight_norm") -> Array:
    """Relative change of the norm from the first to the last of the `late` epochs, shape (cell, seed)."""
    norm = _values(late(record)[name])
    return norm[..., -1] / norm[..., 0] - 1


def accuracies(record: xr.Dataset) -> Array:
    """Test accuracy at the end, shape (cell, seed)."""
    return _values(record["test_accuracy"])[..., -1]


def living(record: xr.Dataset) -> Array:
    """Which seeds are not dead, shape (cell, seed): none that diverged, and none that only guesses.

    Where no accuracy was taken nothing speaks against a seed.
    """
    guessing = accuracies(record) < DEAD
    return ~guessing & (record["diverged_step"].transpose("cell", "seed").values < 0)


def baseline(record: xr.Dataset) -> int | None:
    """Index of the baseline's cell; None if the record has none."""
    tricks = record["trick"].values.astype(str).tolist()
    return tricks.index(BASE) if BASE in tricks else None


def late_angles(record: xr.Dataset, name: str) -> Array:
    """Mean over the `late` epochs, shape (cell, seed); nan for a dead seed."""
    return np.where(living(record), _values(late(record)[f"angle_{name}"]).mean(-1), math.nan)


def ratios(record: xr.Dataset, angle: str) -> dict[str, Array]:
    """Measured over predicted, seed by seed: the one place where tables, pictures and verdicts take it from.

    Parameters
    ----------
    record : Dataset
    angle : {"step", "epoch"}

    Returns
    -------
    dict of str to ndarray, shape (cell, seed)
        ``equilibrium`` and ``course``: over the law's angle and over the recursion's, each seed's own (so that no
        seed's large angle outweighs the others); ``beside``: the first over the baseline's of the same seed. nan: a
        dead seed, no prediction or no baseline.
    """
    measured, said = (late_angles(record, name) for name in (angle, f"{angle}_predicted"))
    law = measured / record[f"angle_{angle}_equilibrium"].values[:, None]
    base = baseline(record)
    return {"equilibrium": law, "course": measured / said, "beside": law / (math.nan if base is None else law[base])}


def over_seeds(values: Array) -> tuple[float, float]:
    """Mean over seeds and its standard error, nan where there are too few; a nan is no seed."""
    found = mean_and_error(values)
    return found.value, found.stderr


def splits(record: xr.Dataset) -> list[Split]:
    """Every cell's split."""
    said = late_angles(record, "epoch_predicted")
    parts = [_values(late(record)[f"split_{part}"]) for part in ("decay", "velocity", "drift")]
    # Epoch by epoch, and only then the mean: see `Split`.
    angles = [np.arccos(np.clip(cosine, -1, 1)) for cosine in (sum(parts), parts[0] + parts[1])]
    late_means = [np.where(living(record), values.mean(-1), math.nan) for values in (*parts, *angles)]
    out = []
    for i, transient in enumerate(said):
        decay, velocity, drift, angle = (over_seeds(values[i])[0] for values in late_means[:4])
        out.append(Split(decay, velocity, drift, angle, *over_seeds(late_means[4][i] / transient)))
    return out


def same(record: xr.Dataset, i: int, j: int) -> bool:
    """Whether two cells are one training: every angle and norm of every epoch and seed is equal."""
    names = ("angle_step", "angle_epoch", "weight_norm")
    return all(np.array_equal(record[name][i], record[name][j], equal_nan=True) for name in names)


def _values(array: xr.DataArray) -> Array:
    """In double precision, shape (cell, seed, epoch): the arc cosine of a sum near 1 needs it."""
    return array.transpose("cell", "seed", "epoch").values.astype(float)
