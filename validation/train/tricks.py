"""Tricks of training that a job may switch on: this file is the one place to add another; torch is loaded on use.

A field of `Tricks` is its switch: command line, configuration and experiments read it from there. What it does goes
into one of the hooks that the trainer calls: `check`, `prepare`, `mixed` and `mix`, `distilled`, `gradient`, `average`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sde_si.errors import require
from sde_si.hyperparameters import check_number
from sde_si.options import FLOAT, flag
from sde_si.streams import DATA, generator

if TYPE_CHECKING:
    from torch import Tensor, nn

MIX = 1  # what the extra stream of random numbers is for


def _switch(type_: Any, default: Any, text: str) -> Any:
    """A trick's field, with its flag."""
    return dataclasses.field(default=default, metadata={"flag": flag(type_, default, text)})


@dataclass(frozen=True, kw_only=True)
class Tricks:
    """What is done beside plain training; all off by default.

    Attributes
    ----------
    label_smoothing : float
        Share of the target that goes to all labels alike (Szegedy et al. 2016).
    mixup : float
        Parameter of the Beta law by which pairs of images are mixed (Zhang et al. 2018); 0: none are.
    clip : float or None
        Longest gradient of the whole network; a longer one is shortened to it (Pascanu et al. 2013).
    ema : float
        Share of the old average in the average of the weights after each step; the average is evaluated (Polyak and
        Juditsky 1992).
    no_bias_decay : bool
        Weight decay only on weights of two dimensions or more (He et al. 2019).
    zero_gamma : bool
        The last normalisation of every residual block starts with scale 0 (Goyal et al. 2017).
    distillation : float
        Share of the target that a teacher sets: the same network, trained before without tricks from another seed
        (Hinton et al. 2015 at temperature 1; Furlanello et al. 2018).

    Raises
    ------
    BadInput
    """

    label_smoothing: float = _switch(FLOAT, 0.0, "share of the target that goes to all labels alike")
    mixup: float = _switch(FLOAT, 0.0, "parameter of the Beta law by which pairs of images are mixed; 0: none")
    clip: float | None = _switch(FLOAT, None, "longest gradient of the whole network")
    ema: float = _switch(FLOAT, 0.0, "share of the old average in that of the weights, which is then evaluated")
    no_bias_decay: bool = _switch(bool, False, "no weight decay on biases and on scales and shifts of a normalisation")
    zero_gamma: bool = _switch(bool, False, "the last normalisation of every residual block starts with scale 0")
    distillation: float = _switch(FLOAT, 0.0, "share of the target set by a teacher: such a network trained before")

    def __post_init__(self) -> None:
        check_number("label_smoothing", self.label_smoothing, least=0, below=1, advice="0.1")
        check_number("mixup", self.mixup, least=0, advice="0.2")
        check_number("distillation", self.distillation, least=0, below=1, advice="0.5")
        check_number("ema", self.ema, least=0, below=1, advice="0.99")
        if self.clip is not None:
            check_number("clip", self.clip, above=0, advice="1")

    def check(self, *, decoupled: bool, probed: bool) -> None:
        """Refuse what does not go with the rest of a job: decoupled decay; probes of the plain loss.

        Raises
        ------
        BadInput
        """
        coupled = not (self.no_bias_decay and decoupled)
        require(coupled, "no_bias_decay", "an optimizer with coupled decay", "a decoupled one", "--optimizer sgd")
        for name in ("mixup", "distillation"):
            either = not (getattr(self, name) and probed)
            require(either, name, f"{name} or curvature and response, not both", "both", "--curvature 0 --response 0")

    def prepare(self, model: nn.Module) -> nn.Module:
        """A fresh network as it starts.

        Raises
        ------
        BadInput
            If it has no scales that could start at 0.
        """
        from torch import nn

        if self.zero_gamma:
            last = [norm for block in model.modules() if isinstance(norm := getattr(block, "norm2", None), nn.Module)]
            scales = [weight for norm in last if isinstance(weight := getattr(norm, "weight", None), nn.Parameter)]
            require(bool(scales), "zero_gamma", "a residual network with affine normalisation", "another", "resnet18")
            for scale in scales:
                nn.init.zeros_(scale)
        return model

    def mixed(self, seeds: Iterable[int], key: tuple[int, ...], draws: int) -> Tensor | None:
        """Shares (path, draws) of the first image of every pair, a function of the arguments alone; None without."""
        if not self.mixup:
            return None
        import torch

        drawn = [generator(seed, DATA, *key, MIX).beta(self.mixup, self.mixup, draws) for seed in seeds]
        return torch.stack([torch.from_numpy(one) for one in drawn])

    def mix(self, images: Tensor, labels: Tensor, share: Tensor, classes: int) -> tuple[Tensor, Tensor]:
        """Every image mixed with the next one of its minibatch.

        Parameters
        ----------
        images : Tensor, shape (path, batch, channels, size, size)
        labels : Tensor of int, shape (path, batch)
        share : Tensor, shape (path,)
        classes : int

        Returns
        -------
        images, targets : Tensor
            Targets are shares of the labels, (path, batch, classes).
        """
        from torch.nn import functional as F

        share = share.to(images)
        of_image, target = share[:, None, None, None, None], F.one_hot(labels, classes).to(images.dtype)
        mixed = of_image * images + (1 - of_image) * images.roll(1, 1)
        return mixed, share[:, None, None] * target + (1 - share[:, None, None]) * target.roll(1, 1)

    def distilled(self, labels: Tensor, logits: Tensor) -> Tensor:
        """Targets (path, batch, classes) from labels, or shares of them, and a teacher's logits of that shape."""
        from torch.nn import functional as F

        known = labels if labels.is_floating_point() else F.one_hot(labels, logits.shape[-1]).to(logits.dtype)
        return known + self.distillation * (logits.softmax(-1) - known)

    def gradient(self, gradient: Tensor, x: Tensor, wd: float, plain: Tensor) -> Tensor:
        """The gradient that the optimizer gets.

        Parameters
        ----------
        gradient, x : Tensor, shape (path, size)
            As computed, and the weights.
        wd : float
            Weight decay that the optimizer will add.
        plain : Tensor, shape (size,)
            1 for weights of biases, scales and shifts, 0 for the others.
        """
        if self.clip is not None:
            length = gradient.double().norm(dim=-1, keepdim=True)
            gradient = gradient * (self.clip / length.clamp(min=self.clip)).to(gradient.dtype)
        if self.no_bias_decay:  # taken off here, for the optimizer to put on
            gradient = gradient - wd * x * plain.to(x)
        return gradient

    def average(self, old: Tensor | None, x: Tensor) -> Tensor | None:
        """The weights to evaluate instead of `x`, (path, size); `old` is None at the start. None: `x` itself."""
        if not self.ema:
            return None
        return x.clone() if old is None else old.lerp_(x, 1 - self.ema)


FLAGS = {field.name: field.metadata["flag"] for field in dataclasses.fields(Tricks)}
