"""Tricks of training that a job may switch on, each in one place; the names are the literature's."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sde_si.errors import require
from sde_si.hyperparameters import check_number
from sde_si.streams import DATA, generator

MIX = 1  # what the extra stream of random numbers is for


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

    Raises
    ------
    BadInput
    """

    label_smoothing: float = 0.0
    mixup: float = 0.0
    clip: float | None = None
    ema: float = 0.0
    no_bias_decay: bool = False
    zero_gamma: bool = False

    def __post_init__(self) -> None:
        check_number("label_smoothing", self.label_smoothing, least=0, below=1, advice="0.1")
        check_number("mixup", self.mixup, least=0, advice="0.2")
        check_number("ema", self.ema, least=0, below=1, advice="0.99")
        if self.clip is not None:
            check_number("clip", self.clip, above=0, advice="1")

    def prepare(self, model: nn.Module) -> nn.Module:
        """A fresh network as it starts.

        Raises
        ------
        BadInput
            If it has no scales that could start at 0.
        """
        if self.zero_gamma:
            last = [norm for block in model.modules() if isinstance(norm := getattr(block, "norm2", None), nn.Module)]
            scales = [weight for norm in last if isinstance(weight := getattr(norm, "weight", None), nn.Parameter)]
            require(bool(scales), "zero_gamma", "a residual network with affine normalisation", "another", "resnet18")
            for scale in scales:
                nn.init.zeros_(scale)
        return model

    def mixed(self, seed: int, key: tuple[int, ...], draws: int) -> Tensor | None:
        """Shares (draws,) of the first image of every pair, a function of the arguments alone; None without mixup."""
        if not self.mixup:
            return None
        return torch.from_numpy(generator(seed, DATA, *key, MIX).beta(self.mixup, self.mixup, draws))

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
        share = share.to(images)
        of_image, target = share[:, None, None, None, None], F.one_hot(labels, classes).to(images.dtype)
        mixed = of_image * images + (1 - of_image) * images.roll(1, 1)
        return mixed, share[:, None, None] * target + (1 - share[:, None, None]) * target.roll(1, 1)

    def clipped(self, gradient: Tensor) -> Tensor:
        """Gradients (path, size), none longer than `clip`."""
        if self.clip is None:
            return gradient
        length = gradient.double().norm(dim=-1, keepdim=True)
        return gradient * (self.clip / length.clamp(min=self.clip)).to(gradient.dtype)


NAMES = tuple(field.name for field in dataclasses.fields(Tricks))
