"""Made records of every experiment, for tests of the figures."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import xarray as xr

from paper_figs import networks
from paper_figs.scripts import scripts
from validation import experiments
from validation.experiments.setups import hyperparameters

SEEDS = 2


def made(name: str, scale: str = "cpu", *, seeds: int = SEEDS, epochs: int | None = None) -> xr.Dataset:
    """A record of the contract with made numbers: angles about the noise-only law, accuracy best on the diagonal."""
    experiment = experiments.EXPERIMENTS[name]
    cells, rng = experiment.cells(scale), np.random.default_rng(3)
    hps = [hyperparameters(one.settings) for one in cells]
    E = epochs or max(hp.epochs for hp in hps)
    groups = ["layer 1", "layer 2", "all"] if experiment.groups else []
    shape = (len(cells), seeds, E, *([len(groups)] if groups else []))
    dims = ("cell", "seed", "epoch", *(["group"] if groups else []))
    factor = np.array([max(hp.tuning_factor, 1e-4) for hp in hps])
    noise = 1 + 0.02 * rng.standard_normal(shape)
    tall = (slice(None),) + (None,) * (len(shape) - 1)
    angle = np.arccos(np.clip(1 - 0.5 * np.minimum(factor, 1), -1, 1))
    data = {
        "angle_epoch": angle[tall] * noise, "angle_middle": angle[tall] * noise, "weight_norm": 2 * noise,
        "angle_step": np.sqrt([2 * max(hp.intrinsic_lr, 1e-6) / (1 + hp.momentum) for hp in hps])[tall] * noise,
        "gradient": 3 * noise, "signal": 0.5 * noise, "noise_trace": 2.5 * noise,
    }  # fmt: skip
    data |= {f"{key}_predicted": 1.1 * data[key] / noise for key in networks.Course._fields}
    out = {key: (dims, value.astype(np.float32)) for key, value in data.items()}
    flat = ("cell", "seed", "epoch")
    peak = 0.8 - 0.02 * np.log2(factor / 0.0512) ** 2
    test = np.full((len(cells), seeds, E), np.nan)
    test[:, :, -1] = np.clip(peak, 0.05, 1)[:, None] + 0.001 * rng.standard_normal((len(cells), seeds))
    out["test_accuracy"] = (flat, test.astype(np.float32))
    out["train_loss"] = (
        flat,
        (np.exp(-np.arange(E) / E) + 0.05 * rng.random((len(cells), seeds, E))).astype(np.float32),
    )
    out["weight_norm_initial"] = (dims[:2] + dims[3:], np.full((*shape[:2], *shape[3:]), 2.0, np.float32))
    out["diverged_step"] = (("cell", "seed"), np.full((len(cells), seeds), -1, np.int32))
    out["lr_end"] = (("cell", "epoch"), np.array([np.full(E, hp.lr) for hp in hps], np.float32))
    out["steps_per_epoch"] = (("cell", "epoch"), np.array([np.full(E, hp.N // hp.B) for hp in hps], np.float32))
    out["batch"] = (("cell", "epoch"), np.array([np.full(E, hp.B) for hp in hps], np.float32))
    out["angle_epoch_paper"] = (("cell", "epoch"), np.repeat(np.arccos(1 - np.minimum(factor, 2))[:, None], E, 1))
    coordinates = {key: ("cell", np.array([float(getattr(hp, key)) for hp in hps]))
                   for key in ("N", "B", "lr", "wd", "momentum", "tuning_factor")}  # fmt: skip
    for label in dict.fromkeys(key for one in cells for key in one.labels):
        absent = "" if isinstance(next(one.labels[label] for one in cells if label in one.labels), str) else math.nan
        coordinates[label] = ("cell", np.array([one.labels.get(label, absent) for one in cells]))
    coordinates |= {"seed": np.arange(seeds), "epoch": np.arange(1, E + 1)}
    if groups:
        coordinates["group"] = np.array(groups)
    record = xr.Dataset(out, coordinates)
    record["effective_lr"] = record["lr_end"] / record["weight_norm"] ** 2
    record["effective_lr_epoch"] = record["effective_lr"] * record["steps_per_epoch"]
    record.attrs = {"experiment": name, "scale": scale, "digest": experiment.digest(scale), "command": "made",
                    "paper": json.dumps(experiment.paper), "setup": "{}", "provenance": "{}"}  # fmt: skip
    if name == "tricks":  # its own derivation builds networks
        for key in ("angle_step", "angle_epoch"):
            record[f"{key}_equilibrium"] = ("cell", np.full(len(cells), 0.11))
        record["invariant_share"] = ("cell", np.linspace(1, 0, len(cells)))
        for part, value in (("decay", 0.95), ("velocity", 0.0), ("drift", 0.03)):
            record[f"split_{part}"] = (flat, np.full((len(cells), seeds, E), value))
        return record
    return experiment.derive(record) if experiment.derive else record


@pytest.fixture(scope="module")
def records():
    """Made records of every experiment that a figure needs, short; each made once."""
    wanted = {name for one in scripts().values() for name in one.experiments}
    return {name: made(name, epochs=None if name == "wan-lr-drop" else 12) for name in wanted}
