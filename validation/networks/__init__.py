"""Real networks, scale-invariant in all they train or as they are; to add one, write it here in `NETWORKS`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from sde_si.errors import BadInput, require, require_known
from validation.networks.fixup import FixupResNet
from validation.networks.foreign import Habits, habits, measured_groups
from validation.networks.layers import (
    Gain,
    GhostNorm,
    calibrated,
    drawn_buffers,
    ghost_norm,
    normalise_filters,
    scale_invariant_groups,
)
from validation.networks.plain import ConvNet, DenseNet, Perceptron
from validation.networks.resnet import Block, Bottleneck, Norm, PreactResNet, ResNet, ShakeBlock
from validation.networks.squeeze import SqueezeNet


@dataclass(frozen=True)
class Shape:
    """What a network is built for.

    Attributes
    ----------
    channels, size, classes : int
        Of the images (square, `size` pixels a side); of the labels.
    width : int
    blocks : tuple of int
    """

    channels: int
    size: int
    classes: int
    width: int
    blocks: tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """A network that can be trained.

    Attributes
    ----------
    summary, source : str
    build : callable
        ``build(shape, norm)`` makes the module; ``norm(channels)`` makes a normalisation layer.
    width : int
    blocks : tuple of int
        Defaults: of the paper.
    ghost : int
        Default ghost size; 0: the whole batch.
    affine : bool
        Whether its normalisation has a trained scale and shift.
    control : bool
        Whether its groups are not scale-invariant, and only measured as if they were.
    """

    summary: str
    source: str
    build: Callable[[Shape, Norm], nn.Module]
    width: int
    blocks: tuple[int, ...]
    ghost: int = 0
    affine: bool = False
    control: bool = False


def _one(shape: Shape) -> int:
    require(len(shape.blocks) == 1, "blocks", "one number for this network", ",".join(map(str, shape.blocks)), "4")
    return shape.blocks[0]


def _resnet(**parts: Any) -> Callable[[Shape, Norm], nn.Module]:
    return lambda s, norm: ResNet(s.channels, s.classes, s.width, s.blocks, norm, **parts)


NETWORKS: dict[str, Network] = {
    "si-resnet18": Network(
        "ResNet-18, normalised after pooling, fixed last layer, ghost batch norm without affine",
        "Yun et al. section 3.1",
        _resnet(fixed=True),
        width=64, blocks=(2, 2, 2, 2), ghost=64,
    ),
    "resnet18": Network(
        "ResNet-18 as it is: affine batch norm, trained last layer",
        "He et al. 2016; Yun et al. section 5.2",
        _resnet(fixed=False),
        width=64, blocks=(2, 2, 2, 2), affine=True,
    ),
    "si-resnet18-d": Network(
        "si-resnet18 with the stem of ResNet-C and the shortcuts of ResNet-D",
        "He et al. 2019 (bag of tricks)",
        _resnet(fixed=True, deep=True, block=partial(Block, pooled=True)),
        width=64, blocks=(2, 2, 2, 2), ghost=64,
    ),
    "si-resnet50": Network(
        "ResNet-50 of bottlenecks with the stride in their first convolution, else as si-resnet18",
        "He et al. 2016",
        _resnet(fixed=True, block=Bottleneck, expansion=4),
        width=64, blocks=(3, 4, 6, 3), ghost=64,
    ),
    "si-resnet50-b": Network(
        "si-resnet50 with the stride in the second convolution of a bottleneck (ResNet-B)",
        "He et al. 2019 (bag of tricks)",
        _resnet(fixed=True, block=partial(Bottleneck, late=True), expansion=4),
        width=64, blocks=(3, 4, 6, 3), ghost=64,
    ),
    "si-shake-resnet18": Network(
        "si-resnet18 with two branches a block, mixed at random for every minibatch (Shake-Shake)",
        "Gastaldi 2017",
        _resnet(fixed=True, block=ShakeBlock),
        width=64, blocks=(2, 2, 2, 2), ghost=64,
    ),
    "si-convnet": Network(
        "four convolutions with batch norm without affine, fixed last layer of norm 10",
        "Kodryan et al.; theory.md 5.1",
        lambda s, norm: ConvNet(s.channels, s.classes, s.width, _one(s), norm),
        width=32, blocks=(4,),
    ),
    "si-preact-resnet18": Network(
        "pre-activation ResNet-18, batch norm without affine, extra norm in the shortcut, fixed last layer of norm 10",
        "Kodryan et al.; theory.md 5.1",
        lambda s, norm: PreactResNet(s.channels, s.classes, s.width, s.blocks, norm),
        width=32, blocks=(2, 2, 2, 2),
    ),
    "si-densenet100": Network(
        "DenseNet-BC of 100 layers, growth 12, batch norm without affine, fixed last layer",
        "Huang et al. 2017; Yun et al. appendix",
        lambda s, norm: DenseNet(s.channels, s.classes, s.width, s.blocks, norm),
        width=12, blocks=(16, 16, 16), ghost=64,
    ),
    "si-mlp": Network(
        "perceptron, every layer normalised, fixed last layer of norm 10",
        "theory.md 5.6",
        lambda s, norm: Perceptron(s.channels * s.size**2, s.classes, s.width, _one(s), norm),
        width=64, blocks=(3,),
    ),
    "se-resnet": Network(
        "residual squeeze-and-excitation network with SiLU, affine norm, trained last layer: has scale-variant parts",
        "Hu et al. 2018; in the place of Yun et al.'s EfficientNet, section 6",
        lambda s, norm: SqueezeNet(s.channels, s.classes, s.width, s.blocks, norm),
        width=32, blocks=(2, 2, 2, 2), affine=True,
    ),
    "fixup-resnet18": Network(
        "ResNet-18 without normalisation, Fixup's start: a control, its weights are not scale-invariant",
        "Zhang, Dauphin and Ma 2019",
        lambda s, norm: FixupResNet(s.channels, s.classes, s.width, s.blocks),
        width=64, blocks=(2, 2, 2, 2), control=True,
    ),
}  # fmt: skip


def _groups(channels: int) -> int:
    """Up to four groups of equal size, of two channels at least; one where that cannot be."""
    groups = math.gcd(channels // 2, 4)
    return groups if channels % groups == 0 else 1


# kind -> maker of a layer from channels, ghost size, affine, eps; a group has two channels at least
NORMS: dict[str, Callable[..., nn.Module]] = {
    "batch": GhostNorm,
    "layer": lambda channels, ghost, affine, eps: nn.GroupNorm(1, channels, eps, affine),
    "group": lambda channels, ghost, affine, eps: nn.GroupNorm(_groups(channels), channels, eps, affine),
    "weight": lambda channels, ghost, affine, eps: Gain(channels, affine=affine),  # see `normalise_filters`
}


def build(
    name: str, *, channels: int, size: int, classes: int, width: int | None = None,
    blocks: tuple[int, ...] | None = None, ghost: int | None = None, eps: float = 1e-5, norm: str = "batch",
) -> nn.Module:  # fmt: skip
    """A network with fresh weights from torch's generator.

    Parameters
    ----------
    name : str
        A name in `NETWORKS`, or ``timm:NAME`` for a model of the installed timm.
    channels, size, classes : int
        Of the images; of the labels.
    width, blocks, ghost : optional
        Other than the network's own.
    eps : float
        Of the normalisation; above 0 it breaks scale invariance slightly (theory.md 15.5).
    norm : str
        Its kind, a name in `NORMS`: over (ghost) batches, over a sample, over four groups of its channels; or of the
        filters in the place of their outputs.

    Raises
    ------
    BadInput
        For an unknown network, or a shape that it cannot have.
    """
    if name.startswith("timm:"):
        return _timm(name.removeprefix("timm:"), channels, classes)
    require_known("network", name, NETWORKS, also="timm:NAME")
    entry = NETWORKS[name]
    shape = Shape(channels, size, classes, entry.width if width is None else width, blocks or entry.blocks)
    least = 2 ** (len(shape.blocks) - 1) if len(shape.blocks) > 1 else 1
    require(size >= least, "blocks", f"at most {size.bit_length()} stages for images of {size} pixels", shape.blocks)
    ghost = entry.ghost if ghost is None else ghost
    require(norm == "batch" or not entry.control, "norm", f"none for {name}", norm, "si-resnet18")
    model = entry.build(shape, partial(NORMS[norm], ghost=ghost, affine=entry.affine, eps=eps))
    return normalise_filters(model) if norm == "weight" else model


def _timm(name: str, channels: int, classes: int) -> nn.Module:
    try:
        import timm
    except ImportError:
        raise BadInput("network", "the package timm for timm:NAME", "it is not installed", "pip install timm") from None
    require(timm.is_model(name), "network", "a model of timm", repr(name), "timm:efficientnet_b0")
    return timm.create_model(name, num_classes=classes, in_chans=channels)


__all__ = [
    "NETWORKS",
    "NORMS",
    "GhostNorm",
    "Habits",
    "Network",
    "build",
    "calibrated",
    "drawn_buffers",
    "ghost_norm",
    "habits",
    "measured_groups",
    "scale_invariant_groups",
]
