"""Networks, data and epochs that the experiments share at each scale, and what a step of them costs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from sde_si.hyperparameters import HyperParameters
from sde_si.schedules import Timetable

Settings = Mapping[str, Any]


def _setup(**settings: Any) -> Settings:
    return MappingProxyType(settings)


# Yun et al. section 3.1 and 5.1 at four sizes. The test set is only looked at when training is over.
YUN = {
    "tiny": _setup(
        network="si-resnet18", width=4, blocks=[1], ghost=16, data="digits", N=128, B=16, lr=0.1, wd=0.0128,
        momentum=0.9, epochs=4, schedule="multi-step:2,3", noise_batches=0, evaluate_every=4,
    ),
    "cpu": _setup(
        network="si-resnet18", width=24, blocks=[1, 1, 1], ghost=32, data="fashion-mnist", image_size=14,
        augment=["shift", "flip"], N=1024, B=64, lr=0.1, wd=4e-4, momentum=0.9, epochs=80,
        schedule="multi-step:40,60", noise_batches=0, evaluate_every=80,
    ),
    "gpu": _setup(
        network="si-resnet18", width=32, ghost=32, data="fashion-mnist", image_size=32, augment=["crop", "flip"],
        N=6250, B=128, lr=0.1, wd=4e-4, momentum=0.9, epochs=44, schedule="multi-step:22,33", noise_batches=0,
        evaluate_every=44,
    ),
    "full": _setup(
        network="si-resnet18", data="cifar10", augment=["crop", "flip"], N=50_000, B=128, lr=0.1, wd=1e-4,
        momentum=0.9, epochs=300, schedule="multi-step:150,225", noise_batches=0, evaluate_every=300,
    ),
}  # fmt: skip

# Constant learning rate at norm equilibrium, for laws of the equilibrium: small enough for many epochs.
STEADY = {
    "tiny": _setup(
        network="si-mlp", width=8, blocks=[2], data="digits", N=160, B=16, lr=0.1, wd=0.02, momentum=0.9, epochs=6,
        noise_batches=2, evaluate_every=6,
    ),
    "cpu": _setup(
        network="si-resnet18", width=8, blocks=[1, 1], ghost=32, data="digits", N=1280, B=32, lr=0.1, wd=1.6e-3,
        momentum=0.9, epochs=60, noise_batches=4, evaluate_every=60,
    ),
    "gpu": _setup(
        network="si-resnet18", width=32, ghost=32, data="fashion-mnist", image_size=32, N=12_500, B=128, lr=0.1,
        wd=8e-4, momentum=0.9, epochs=40, noise_batches=8, evaluate_every=40,
    ),
    "full": _setup(
        network="si-resnet18", data="cifar10", N=50_000, B=128, lr=0.1, wd=5e-4, momentum=0.9, epochs=100,
        noise_batches=8, evaluate_every=100,
    ),
}  # fmt: skip

# (network, width, pixels a side) -> seconds of a minibatch gradient and of each of its samples: measured, one thread of
# an AMD EPYC
RATES: dict[tuple[str, int | None, int | None], tuple[float, float]] = {
    ("si-mlp", 8, None): (1.5e-3, 1e-6),
    ("si-resnet18", 4, None): (3e-3, 1e-5),
    ("si-resnet18", 8, None): (1e-3, 5e-5),
    ("si-convnet", 8, None): (1e-3, 3.5e-5),
    ("si-resnet18", 24, 14): (3.2e-3, 4.5e-4),
    ("resnet18", 24, 14): (3.2e-3, 4.5e-4),
    ("se-resnet", 16, 14): (3.2e-3, 3e-4),
}
SMALL = (1e-3, 5e-5)  # other networks on a CPU
# H100, four networks side by side, by width and pixels a side: assumed, not measured
ACCELERATOR = {(32, 32): (1.5e-3, 1.6e-5), (None, 32): (1e-3, 8e-6), (None, None): (1.5e-3, 6e-5)}


def hyperparameters(settings: Settings) -> HyperParameters:
    """The hyperparameters among a cell's settings."""
    names = HyperParameters.__dataclass_fields__
    return HyperParameters(**{name: value for name, value in settings.items() if name in names})


def seconds(settings: Settings) -> float:
    """Estimated seconds of one training on the device that its size is for (`RATES`, `ACCELERATOR`)."""
    size = settings.get("width"), settings.get("image_size")
    step, sample = RATES.get((settings["network"], *size), ACCELERATOR.get(size, SMALL))
    hp, schedule = hyperparameters(settings), settings.get("schedule", "constant")
    if "batch" in schedule:
        timetable = Timetable(hp)
        steps, batch = timetable.steps, timetable.batch
    else:
        steps, batch = np.full(hp.epochs, hp.steps_per_epoch), np.full(hp.epochs, hp.B)
    svag, measured = settings.get("svag", 1), settings.get("noise_batches", 4)
    draws = (steps * (2 * svag if svag > 1 else 1) + measured) @ (step + sample * batch)
    # Evaluations: forward only, a third of a gradient.
    looks = max(1, hp.epochs // settings.get("evaluate_every", 5))
    teachers = 2.4 if settings.get("distillation") else 1.0  # trained like their students, who then ask them
    return 1.0 + teachers * float(draws) + looks * sample / 3 * (400 if settings["data"] == "digits" else 10_000)
