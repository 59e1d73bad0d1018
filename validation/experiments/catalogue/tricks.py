"""Which tricks of training keep the law of the angle: each switched on alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from validation.experiments.base import MOMENTS, SPLIT, Cell, Experiment, cell
from validation.experiments.setups import STEADY

if TYPE_CHECKING:
    import xarray as xr

GHOST = {"tiny": 16, "cpu": 32, "gpu": 32, "full": 0}


def tricks(base: dict[str, Any], scale: str) -> dict[str, dict[str, Any]]:
    """Trick -> settings that change; the tuning factor stays (theory.md 9.5: decoupled decay knows no momentum)."""
    free, epochs = 1 / (1 - base["momentum"]), base["epochs"]
    affine = {"network": "resnet18", "ghost": GHOST[scale]}
    return {
        "none": {},
        "label smoothing": {"label_smoothing": 0.1},
        "mixup": {"mixup": 0.2},
        "affine norm": affine,
        "zero-gamma": affine | {"zero_gamma": True},
        "no bias decay": affine | {"no_bias_decay": True},
        "SGDW": {"optimizer": "sgdw", "wd": base["wd"] * free},
        "AdamW": {"optimizer": "adamw", "lr": base["lr"] / 25, "wd": 25 * base["wd"] * free},
        "Nesterov": {"optimizer": "nesterov"},
        "warm-up": {"schedule": "warm-up:5" if epochs > 10 else "warm-up:1"},
        "clipping": {"clip": 0.4},
        "batch growth": {"schedule": f"batch-growth:{max(1, epochs // 3)},2"},
        "bf16": {"precision": "bf16"},
        "EMA": {"ema": 0.99},
        "knowledge distillation": {"distillation": 0.5},
        "shake-shake": {"network": "si-shake-resnet18"},
        "bottlenecks": {"network": "si-resnet50"},
        "bottlenecks, ResNet-B": {"network": "si-resnet50-b"},
        "ResNet-C stem, D shortcuts": {"network": "si-resnet18-d"},
        "layer norm": {"norm": "layer"},
        "group norm": {"norm": "group"},
        "weight norm": {"norm": "weight"},
        # Without normalisation a tenth of lr trains, and ten times wd keeps the product.
        "Fixup, no norm": {"network": "fixup-resnet18", "lr": base["lr"] / 10, "wd": 10 * base["wd"]},
    }


def cells(scale: str) -> list[Cell]:
    """One cell a trick."""
    base = {**STEADY[scale], "sampling": "replacement", "network": "si-resnet18"}
    if scale == "tiny":
        base |= {"width": 4, "blocks": [1], "ghost": 16}
    return [cell(base, changes, trick=name) for name, changes in tricks(base, scale).items()]


def _share(settings: dict[str, Any]) -> float:
    """Share of the trained weights that are scale-invariant, each tensor by itself."""
    import torch

    from validation.experiments.work import images_of, job_of
    from validation.networks import measured_groups

    job = job_of({**settings, "seed": 0}, device="cpu", data_dir=None)
    images = images_of(job)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = job.build(images)
        batch = torch.from_numpy(images.train[:16].astype(np.float32)) / 64 - 1
        found = {name for names in measured_groups(model, batch).values() for name in names}
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    return sum(sizes[name] for name in found) / sum(sizes.values())


def measured(summary: xr.Dataset) -> xr.Dataset:
    """Add the share of the weights that are scale-invariant; what follows from the rest is `by_seed`'s."""
    made = cells(summary.attrs["scale"])
    summary["invariant_share"] = (
        "cell", [_share(dict(one.settings)) for one in made],
        {"units": "1", "long_name": "share of the trained weights that are scale-invariant"},
    )  # fmt: skip
    return summary


EXPERIMENT = Experiment(
    title="Which tricks keep the law of the angle per step and per epoch",
    source="theory.md 1.3, 9.2, 9.5, 6.7, 1.11; He et al. 2019 (bag of tricks)",
    question="With one trick switched on, are angle per step and per epoch at equilibrium what theory predicts for "
    "these hyperparameters, and does the control without normalisation fail?",
    cells=cells,
    more=(*MOMENTS, *SPLIT),
    figures=("tricks", "tricks-table", "tricks-why"),
    paper={},
    derive=measured,
)
