"""The three regimes of training on the sphere (Kodryan et al. 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from validation.experiments.base import Cell, Experiment, cell

if TYPE_CHECKING:
    import xarray as xr

RATES = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1.5e-2, 2e-2, 3e-2, 4e-2, 5e-2, 7e-2, 1e-1, 2e-1)
SETUPS = {
    "tiny": {"width": 2, "blocks": [2], "data": "digits", "N": 96, "B": 16, "epochs": 16},
    "cpu": {"width": 8, "blocks": [3], "data": "digits", "N": 640, "B": 64, "epochs": 150},
    "gpu": {"data": "fashion-mnist", "image_size": 32, "N": 12_500, "B": 128, "epochs": 60},
    "full": {"data": "cifar10", "N": 50_000, "B": 128, "epochs": 1000},
}
CHOSEN = {"tiny": (1e-4, 1e-1), "cpu": RATES, "gpu": RATES[::2], "full": RATES}
ORDINARY = {"tiny": ((0.1, 0.01),), "cpu": ((0.1, 5e-4), (0.1, 5e-3), (0.5, 5e-3))}
RANDOM = 16  # networks whose loss at the start is that of random directions


def cells(scale: str) -> list[Cell]:
    """Effective learning rates on the sphere of the start, and ordinary SGD with weight decay beside them."""
    base = {"network": "si-convnet", "momentum": 0.0, "noise_batches": 4, **SETUPS[scale]}
    base |= {"evaluate_every": max(1, base["epochs"] // 20)}
    sphere = [
        cell(base, {"lr": 0.1, "wd": 0.0, "effective_lr": one}, training="sphere", fixed=one) for one in CHOSEN[scale]
    ]
    pairs = ORDINARY.get(scale, ORDINARY["cpu"])
    return sphere + [cell(base, {"lr": lr, "wd": wd}, training="ordinary", fixed=float("nan")) for lr, wd in pairs]


def random_loss(one: Cell) -> float:
    """Mean loss of networks with random weights, each on a minibatch."""
    from validation.experiments.work import images_of, job_of
    from validation.train.loop import Trainer

    job = job_of({**one.settings, "seed": 0}, device="cpu", data_dir=None)
    losses = []
    for seed in range(RANDOM):
        trainer = Trainer(job, images_of(job), [seed])
        losses.append(float(trainer.gradients(trainer.orders(0, job.hyperparameters.B, 1), 0)[1]))
    return float(np.mean(losses))


def regimes(summary: xr.Dataset) -> xr.Dataset:
    """Add the regime of every cell by `sde_si.regimes.classify`, with its confidence."""
    from sde_si.regimes import FEWEST, UNDECIDED, classify

    level = random_loss(cells(summary.attrs["scale"])[0])
    summary.attrs["random_loss"] = level
    names, sure = [], []
    for i in range(summary.sizes["cell"]):
        one = summary.isel(cell=i)
        loss, norm = one["train_loss"].values, np.sqrt(one["gradient"].values)
        steps = np.cumsum(one["steps_per_epoch"].values)
        if one["training"].item() != "sphere" or loss.shape[1] < FEWEST:
            names.append(UNDECIDED)
            sure.append(np.nan)
            continue
        found = classify(loss, norm, one["angle_step"].values, iterations=steps, random_loss=level)
        names.append(found.name)
        sure.append(found.confidence)
    summary["regime"] = ("cell", names, {"long_name": "regime by sde_si.regimes; ordinary training: undecided"})
    summary["regime_confidence"] = ("cell", np.array(sure), {"units": "1", "long_name": "confidence of the regime"})
    return summary


EXPERIMENT = Experiment(
    title="Loss, error and effective gradient norm at fixed effective learning rates: three regimes",
    source="Kodryan et al. 2022, figures 1 and 2; theory.md 5.1",
    question="Does the network converge below a threshold, settle at a loss that depends on the rate above it, and "
    "stay at the level of random guessing at the largest rates, and where does ordinary training run in "
    "the same diagram?",
    cells=cells,
    more=("noise_trace",),
    figures=("kodryan-fig1", "kodryan-phase-diagram"),
    paper={
        "source": "Kodryan et al. 2022, notebook to figure 1, ConvNet on CIFAR-10; theory.md 5.1 (groups as drawn)",
        "effective_lr": [[1e-5, 1e-4, 5e-4], [1e-3, 2e-3, 5e-3], [5e-2, 1e-1]],
        "regimes": ["convergence", "chaotic equilibrium", "divergence"],
    },
    derive=regimes,
)
