"""Closed epochs of a monitor as a record of the project's schema."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.comparison import finite
from sde_si.monitor.history import EPOCH, History, angle, end_norm
from sde_si.monitor.readings import Reading
from sde_si.monitor.report import predicted_of, rows
from sde_si.monitor.statistics import angle_from, phase, predicted_versines, recent

if TYPE_CHECKING:
    import xarray as xr

NORMAL = 1.96  # standard errors on either side of a 95 % interval


def _sharing(history: History, lrs: np.ndarray) -> list[str]:
    """Groups that had the first one's learning rate in all epochs: those of which the record's `lr` tells."""
    return [
        g.name for g, of in zip(history.groups, lrs.T, strict=False) if np.array_equal(of, lrs[:, 0], equal_nan=True)
    ]


def _verdict(history: History, reading: Reading, g: int, numbers: Sequence[int]) -> dict[str, Any]:
    """What the monitor says of a group now: the first closed epoch (from 1) that its angle rests on, 0 if none.

    A record that judged by its closed epochs alone would contradict the monitor that wrote it.
    """
    first = 0
    if reading.equilibrated:
        rows, scheduled = phase(history, g)
        since = recent(rows, reading.relaxation_steps, scheduled=scheduled)[0].epoch
        first = min(int(np.searchsorted(numbers, since, side="right")) + 1, len(numbers))
    error = (reading.high - reading.ratio) / NORMAL
    return {"first": first, "why": reading.why, "ratio": finite(reading.ratio), "stderr": finite(error)}


def record(history: History, found: Sequence[Reading]) -> xr.Dataset:
    """Closed epochs in the project's schema: one path, predictions under each epoch's hyperparameters.

    The schema's predictions carry no group: they are those of all weights together; ``predictions_by_group`` holds
    every group's own. ``lr`` and ``momentum`` are those of the first group and of the others in ``lr_of``;
    ``lr_by_group`` holds every group's own learning rate, and ``effective_lr`` is made of these.
    """
    from sde_si.provenance import provenance
    from sde_si.record import group_names, make
    from sde_si.theory.forms import Rule

    numbers = sorted(number for number, epoch in history.epochs.items() if epoch.whole is not None)
    epochs = [history.epochs[number] for number in numbers]
    groups = len(history.groups)
    keep = slice(groups, None) if groups == 1 else slice(None)
    wide = groups + 1
    whole = np.stack([epoch.whole for epoch in epochs if epoch.whole is not None])
    nothing = np.full(wide, math.nan)
    balance = np.stack([e.balance / e.count if e.balance is not None else np.stack([nothing] * 2) for e in epochs])
    turned = np.stack([np.sqrt(e.squares / e.count) if e.squares is not None else nothing for e in epochs])
    norms, angles = end_norm(whole), angle(whole)
    lr = np.array([epoch.lr for epoch in epochs])
    lrs = np.stack([epoch.lrs if epoch.lrs is not None else np.full(wide, epoch.lr) for epoch in epochs])
    lags = sorted({lag for epoch in epochs for lag in epoch.cosines})
    cosines = np.stack([
        np.stack([epoch.cosines[lag][1] / epoch.cosines[lag][0] if lag in epoch.cosines else nothing for lag in lags])
        for epoch in epochs
    ])  # fmt: skip
    expected = {lag: np.full(len(epochs), math.nan) for lag in [*lags, EPOCH]}
    for i, (number, epoch) in enumerate(zip(numbers, epochs, strict=True)):
        inside = [row for row in history.rows.get(1, []) if row.epoch == number]
        for lag, values in expected.items():
            if inside:
                values[i] = predicted_versines(history, inside[-1], lag or epoch.steps)[-1]
    variables = {
        "cos_epoch": np.cos(angles), "angle_epoch": angles, "angle_step": turned, "weight_norm": norms,
        "effective_lr": lrs / norms**2,
        "mean_squared_displacement": balance[:, 0], "mean_squared_norm": balance[:, 1],
    }  # fmt: skip
    data: dict[str, Any] = {name: values[None][..., keep] for name, values in variables.items()}
    data["cos_lag"] = cosines[None][..., keep]
    data["weight_norm_initial"] = np.sqrt(history.initial if history.initial is not None else nothing)[None][..., keep]
    data |= {
        "lr": lr,
        "momentum": np.array([epoch.momentum for epoch in epochs]),
        "steps_per_epoch": np.array([epoch.steps for epoch in epochs], dtype=np.int32),
        "angle_step_predicted": np.array([angle_from(v) for v in expected[1]]) if 1 in expected else lr * math.nan,
        "angle_epoch_predicted": np.array([angle_from(v) for v in expected[EPOCH]]),
        "cos_epoch_predicted": 1 - expected[EPOCH],
        "cos_lag_predicted": np.stack([1 - expected[lag] for lag in lags], axis=1),
        "weight_norm_predicted": lr * math.nan,
        "effective_lr_predicted": lr * math.nan,
        "angle_epoch_paper": lr * math.nan,
    }
    total = found[-1]
    of = {reading.name: rows(reading) for reading in found}
    if total.count < sum(group.count for group in history.groups):  # the record's "all" is of all, these are not
        of[total.name] = [replace(row, predicted=None) for row in of[total.name]]

    rule: Rule = total.rule
    attributes = {
        "source": "monitor",
        "configuration": {"method": rule.form, "loss": "network", "N": None, "B": None, **asdict(rule)},
        "method": rule.form,
        "digest": hashlib.sha256(b"".join(np.ascontiguousarray(v).tobytes() for v in data.values())).hexdigest(),
        "tuning_factor": total.tuning_factor,
        "relaxation_rate": float(np.median([epoch.steps for epoch in epochs])) / total.relaxation_steps,
        "last_change": int(np.max(np.flatnonzero(np.diff(lr)), initial=-1)) + 1,
        "expected_displacement_ratio": math.nan,  # readings judge equilibrium by their own windows:
        "equilibrium": {
            name: _verdict(history, reading, g, numbers)
            for g, (name, reading) in enumerate(zip(group_names(groups), found, strict=True))
        },
        "group_names": [group.name for group in history.groups],
        "group_levels": [group.level for group in history.groups],
        "lr_of": _sharing(history, lrs),  # the schema has one lr and one momentum per epoch
        "lr_by_group": {
            g.name: [finite(v) for v in of] for g, of in zip(history.groups, lrs.T[:-1].tolist(), strict=True)
        },
        "predictions": {row.quantity: predicted_of(row) for row in of[total.name]},
        "predictions_by_group": {
            name: {row.quantity: predicted_of(row) for row in rows_} for name, rows_ in of.items()
        },
        "provenance": provenance(),
    }
    out = make(data, groups=groups, lags=lags, attributes=attributes)
    return out.assign_coords(epoch=("epoch", np.array(numbers, dtype=np.int32), out["epoch"].attrs))
