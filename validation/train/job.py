"""One training, resolved and checked: network, data, hyperparameters, seeds, and nothing left open."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sde_si.hyperparameters import HyperParameters
from sde_si.run import sha256
from sde_si.schedules import Timetable
from validation.data import Images
from validation.networks import Habits, build, habits, measured_groups, scale_invariant_groups
from validation.train.checks import DTYPES, check_network, check_settings
from validation.train.optimizers import OPTIMIZERS
from validation.train.sources import digests
from validation.train.tricks import FLAGS, Tricks

FORMAT = 1
_NOT_NUMBERS = ("data_dir", "device")  # not in the configuration: they do not decide what is measured


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training of one network from several seeds.

    Attributes
    ----------
    network : str
        A name in `validation.networks.NETWORKS`, or ``timm:NAME``.
    width, blocks, ghost : optional
        Other than the network's own.
    norm : str
        Kind of its normalisation, a name in `validation.networks.NORMS`.
    norm_eps : float
        eps of its normalisation (theory.md 15.5).
    data : str
        A name in `validation.data.DATASETS`.
    data_dir : Path or None
    image_size : int or None
    augment : tuple of str
        Names in `validation.data.AUGMENTATIONS`.
    hyperparameters : HyperParameters
        N is that of the subset.
    optimizer : str
        A name in `validation.train.optimizers.OPTIMIZERS`.
    effective_lr : float or None
        Fixed total effective learning rate, per step, by projection after every step (Kodryan et al.).
    constraint : {"total", "groups"}
        What the projection keeps: the whole length, or each group's.
    rescale : bool
        Whenever lr changes between two epochs, put the scale-invariant weights and the memory at once to the lengths
        of the new equilibrium (theory.md 6.5).
    tricks : Tricks
        What is done beside plain training.
    svag : int
        l of SVAG (theory.md 4.1); 1: the optimizer itself.
    sampling : {"replacement", "reshuffle"}
    lags : tuple of int
        Optimizer steps.
    noise_batches : int
        Extra minibatches at the end of every epoch that tell signal from noise; 0 or 1: none.
    curvature : int
        Checkpoints in the second half of the epochs at which the curvature that the noise sees is measured
        (theory.md 18.3); 0: none.
    response : int
        Checkpoints there at which the response of the weights to the noise, up to the longest of `lags`, and the
        asymmetry of their ways over `lags` are measured (theory.md 18.8, 18.9).
    evaluate_every : int
        Epochs between evaluations on the test set.
    seed, seeds : int
        First seed, and how many (the record's paths).
    precision : {"fp64", "fp32", "bf16"}
    device : str
    compile : bool

    Raises
    ------
    BadInput
    """

    network: str = "si-resnet18"
    width: int | None = None
    blocks: tuple[int, ...] | None = None
    ghost: int | None = None
    norm: str = "batch"
    norm_eps: float = 1e-5
    data: str = "fashion-mnist"
    data_dir: Path | None = None
    image_size: int | None = None
    augment: tuple[str, ...] = ()
    hyperparameters: HyperParameters = dataclasses.field(default_factory=HyperParameters)
    optimizer: str = "sgd"
    effective_lr: float | None = None
    constraint: str = "total"
    rescale: bool = False
    tricks: Tricks = dataclasses.field(default_factory=Tricks)
    svag: int = 1
    sampling: str = "reshuffle"
    lags: tuple[int, ...] = ()
    noise_batches: int = 4
    curvature: int = 0
    response: int = 0
    evaluate_every: int = 5
    seed: int = 0
    seeds: int = 1
    precision: str = "fp32"
    device: str = "cpu"
    compile: bool = False

    def __post_init__(self) -> None:
        check_settings(self)

    @classmethod
    def of(cls, settings: Mapping[str, Any], hyperparameters: HyperParameters) -> Job:
        """The job that flat settings describe: names of `Job` and of `Tricks`; others are refused.

        Raises
        ------
        BadInput
        TypeError
            If a name is unknown.
        """
        own = {name: value for name, value in settings.items() if name not in FLAGS}
        tricks = Tricks(**{name: value for name, value in settings.items() if name in FLAGS})
        own |= {name: tuple(own.get(name) or ()) for name in ("augment", "lags")}
        own |= {"device": pick_device(own.get("device", "cpu")), "blocks": own.get("blocks") and tuple(own["blocks"])}
        return cls(**own, tricks=tricks, hyperparameters=hyperparameters)

    @property
    def extras(self) -> tuple[float, float]:
        """beta2 and eps: the hyperparameters', else the optimizer's defaults, else 0."""
        hp, own = self.hyperparameters, OPTIMIZERS[self.optimizer].extras
        beta2, eps = (own.get(n, 0.0) if getattr(hp, n) is None else getattr(hp, n) for n in ("beta2", "eps"))
        return beta2, eps

    def checkpoints(self, count: int) -> list[int]:
        """Epochs (from 0) after which such things are measured: spread over the second half, the last among them."""
        last = self.hyperparameters.epochs - 1
        return [last - i * (last + 1) // 2 // count for i in range(count)]

    @property
    def work(self) -> float:
        """Optimizer steps of all its networks, teachers included."""
        return float(Timetable(self.hyperparameters).start[-1]) * self.seeds * (2 if self.tricks.distillation else 1)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return DTYPES[self.precision]

    def build(self, images: Images) -> nn.Module:
        """A network with weights from torch's generator."""
        _, channels, size, _ = images.train.shape
        return self.tricks.prepare(build(
            self.network, channels=channels, size=size, classes=images.classes, width=self.width, blocks=self.blocks,
            ghost=self.ghost, eps=self.norm_eps, norm=self.norm,
        ))  # fmt: skip

    def groups(self, images: Images) -> Callable[[nn.Module], dict[str, list[str]]]:
        """How to find the scale-invariant groups: declared by our own layers, measured for others."""
        if not self._foreign:
            return scale_invariant_groups
        return lambda model: measured_groups(model, self._noise(images))

    def habits(self, images: Images) -> Habits:
        """What its network does in training beside computing: nothing for our own, which are written so."""
        if not self._foreign:
            return Habits()
        with torch.random.fork_rng(devices=[]):
            return habits(self.build(images).to(self.dtype), self._noise(images))

    @property
    def _foreign(self) -> bool:
        """Whether the network is not of `validation.networks`."""
        return self.network.startswith("timm:")

    def _noise(self, images: Images) -> torch.Tensor:
        """What a foreign network is tried on."""
        shape = images.train[:32].shape
        return torch.randn(shape, dtype=self.dtype, generator=torch.Generator().manual_seed(0))

    def check(self, images: Images) -> None:
        """Refuse, before any training, a network that cannot be built or does not fit the data.

        Raises
        ------
        BadInput
        """
        check_network(self, images)

    def replace(self, **changes: Any) -> Job:
        """A copy with some values changed."""
        return dataclasses.replace(self, **changes)

    def configuration(self) -> dict[str, Any]:
        """What decides the numbers, as plain JSON types."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in _NOT_NUMBERS}
        if not self.compile:  # records from before it was noted were made without
            del own["compile"]
        hp = dataclasses.asdict(own.pop("hyperparameters"))
        own |= dataclasses.asdict(own.pop("tricks"))
        hp["beta2"], hp["eps"] = self.extras
        return {
            "method": OPTIMIZERS[self.optimizer].method,
            **hp,
            **{k: list(v) if isinstance(v, tuple) else v for k, v in own.items()},
        }

    def digest(self, images: Images, **changes: Any) -> str:
        """Hex digest of configuration, data, sources and format; `changes` replace entries of the configuration."""
        content: Mapping[str, Any] = {
            "format": FORMAT,
            "configuration": {**self.configuration(), **changes},
            "data": images.digest(),
            "sources": digests(),
        }
        return sha256(json.dumps(content, sort_keys=True).encode())


def pick_device(name: str) -> str:
    """``auto``: CUDA where there is one."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name
