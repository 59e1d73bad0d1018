"""Layers of scale-invariant networks: ghost batch norm, and linear maps whose output is always normalised."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Of fewer channels, lying last in memory, the gradient of a 1x1 convolution with a stride writes beyond its memory on a
# CPU (torch 2.13, oneDNN): the process aborts, or goes on with spoilt numbers. Without the stride it does not.
_NARROW = 8


def ghost_norm(x: Tensor, ghost: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Normalise chunks of `ghost` samples each by their own mean and variance, without a loop over chunks.

    Parameters
    ----------
    x : Tensor
        Shape (batch, channels, ...). The last chunk is shorter if `ghost` does not divide the batch.
    ghost : int
        Samples of a chunk; 0: the whole batch.
    weight, bias : Tensor or None
        The affine transform, shape (channels,).
    eps : float
        Added to the variance; above 0 it breaks scale invariance slightly (theory.md 15.5).
    """
    eps = eps or torch.finfo(x.dtype).tiny  # torch refuses 0
    batch, channels = x.shape[:2]
    chunks = batch // ghost if ghost else 1
    if chunks <= 1 and (not ghost or batch <= ghost):
        return F.batch_norm(x, None, None, weight, bias, training=True, eps=eps)
    whole = chunks * ghost
    # Chunks become channels: one fused call, whatever their number. Channels lie last in memory before and after: the
    # convolution that follows is a third faster so.
    part = x[:whole].unflatten(0, (chunks, ghost)).movedim(2, -1).movedim(0, -2).flatten(-2).movedim(-1, 1)
    tiled = [None if p is None else p.repeat(chunks) for p in (weight, bias)]
    part = F.batch_norm(part, None, None, *tiled, training=True, eps=eps)
    part = part.movedim(1, -1).unflatten(-1, (chunks, channels)).movedim(-2, 0).flatten(0, 1).movedim(-1, 1)
    if whole == batch:
        return part
    return torch.cat([part, F.batch_norm(x[whole:], None, None, weight, bias, training=True, eps=eps)])


class GhostNorm(nn.Module):
    """Batch normalisation over ghost batches (Hoffer et al. 2017; Yun et al. section 3.1).

    It keeps no running statistics: training normalises by the batch, and `calibrated` measures the statistics for
    evaluation at the weights in hand, so that evaluation does not depend on the batch size and measuring never
    changes the training.

    Parameters
    ----------
    channels : int
    ghost : int
        Samples of a chunk; 0: the whole batch.
    affine : bool
        Whether a trained scale and shift follow.
    eps : float
    """

    def __init__(self, channels: int, ghost: int = 0, *, affine: bool = False, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels, self.ghost, self.eps = channels, ghost, eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.collected: list[tuple[Tensor, Tensor]] | None = None
        self.statistics: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the batch, or by the calibrated statistics inside `calibrated`."""
        if self.statistics is not None:
            mean, variance = (s.to(x.dtype) for s in self.statistics)
            return F.batch_norm(x, mean, variance, self.weight, self.bias, training=False, eps=self.eps)
        if self.collected is not None:
            self.collected.append(self._moments(x))
        return ghost_norm(x, self.ghost, self.weight, self.bias, self.eps)

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean over the chunks of their means and variances: what training normalises by, on average."""
        x = x.detach().double().flatten(2) if x.ndim > 2 else x.detach().double()[..., None]
        ghost = self.ghost or x.shape[0]
        chunks = max(1, x.shape[0] // ghost)
        x = x[: chunks * ghost].unflatten(0, (chunks, -1))
        variance, mean = torch.var_mean(x, dim=(1, 3), correction=0)
        return mean.mean(0), variance.mean(0)


@contextlib.contextmanager
def calibrated(
    model: nn.Module, batches: Iterable[Tensor], call: Callable[[Tensor], Tensor] | None = None
) -> Iterator[None]:
    """Inside, the model normalises by statistics measured on `batches` at the present weights.

    `call` runs the model, if not with its own weights.
    """
    norms = [module for module in model.modules() if isinstance(module, GhostNorm)]
    try:
        with torch.no_grad():
            for norm in norms:
                norm.collected = []
            for batch in batches:
                (call or model)(batch)
            for norm in norms:
                assert norm.collected
                means, variances = zip(*norm.collected, strict=True)
                norm.statistics = torch.stack(means).mean(0), torch.stack(variances).mean(0)
                norm.collected = None
        yield
    finally:
        for norm in norms:
            norm.collected = norm.statistics = None


class Gain(nn.Module):
    """What weight normalisation has after a map with filters of unit length: a trained scale and shift, or nothing."""

    def __init__(self, channels: int, *, affine: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift of every channel."""
        if self.weight is None or self.bias is None:
            return x
        shape = (-1, *(1,) * (x.ndim - 2))
        return x * self.weight.view(shape) + self.bias.view(shape)


def unit_filters(weight: Tensor) -> Tensor:
    """Every filter ``weight[i]`` at unit length (weight normalisation: Salimans and Kingma 2016)."""
    return weight / weight.flatten(1).norm(dim=1).view(-1, *(1,) * (weight.ndim - 1))


class SIConv2d(nn.Conv2d):
    """A convolution without bias whose output is normalised before anything else sees its scale.

    Parameters
    ----------
    group : str
        Convolutions of one name are scale-invariant together, not each by itself (a residual stream); "": by itself.

    Attributes
    ----------
    unit : bool
        Whether its filters, in the place of its output, are normalised (weight normalisation).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, group: str = "") -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.group, self.unit = group, False

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        """The convolution."""
        weight, stride = unit_filters(self.weight) if self.unit else self.weight, self.stride[0]
        if self.kernel_size == (1, 1) and stride > 1 and self.in_channels < _NARROW:
            return F.conv2d(input[..., ::stride, ::stride], weight)
        return self._conv_forward(input, weight, None)


class SILinear(nn.Linear):
    """A linear map without bias whose output is normalised before anything else sees its scale; as `SIConv2d`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.group, self.unit = "", False

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        """X W'."""
        return F.linear(input, unit_filters(self.weight) if self.unit else self.weight)


def normalise_filters(model: nn.Module) -> nn.Module:
    """Switch weight normalisation on in all its scale-invariant maps; from then on each is invariant by itself."""
    for module in model.modules():
        if isinstance(module, SIConv2d | SILinear):
            module.unit, module.group = True, ""
    return model


class Shares(nn.Module):
    """A random mean of two branches (Shake-Shake, by the batch: Gastaldi 2017); in evaluation their mean.

    Attributes
    ----------
    shares : Tensor, shape (2,)
        Shares of the first branch forwards and backwards; the trainer draws them for every minibatch.
    """

    shares: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shares", torch.full((2,), 0.5))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Value by the first share, gradient by the second."""
        if not self.training:
            return (first + second) / 2
        forwards, backwards = self.shares.to(first.dtype).unbind()
        by_gradient = second + backwards * (first - second)
        return by_gradient + (forwards - backwards) * (first - second).detach()


class FixedLinear(nn.Module):
    """A last layer that is never trained.

    Parameters
    ----------
    inputs, outputs : int
    norm : float
        Length of its weight; 0: as torch draws it.
    """

    weight: Tensor

    def __init__(self, inputs: int, outputs: int, norm: float = 0.0) -> None:
        super().__init__()
        drawn = nn.Linear(inputs, outputs, bias=False).weight.detach()
        self.register_buffer("weight", drawn * (norm / drawn.norm()) if norm else drawn)

    def forward(self, x: Tensor) -> Tensor:
        """X W'."""
        return F.linear(x, self.weight)


def drawn_buffers(model: nn.Module) -> list[str]:
    """Names of the buffers that are drawn for every minibatch."""
    return [f"{name}.shares" for name, module in model.named_modules() if isinstance(module, Shares)]


def scale_invariant_groups(model: nn.Module) -> dict[str, list[str]]:
    """Names of the weights that are scale-invariant together, by group, as the layers declare them."""
    groups: dict[str, list[str]] = {}
    for name, module in model.named_modules():
        if isinstance(module, SIConv2d | SILinear):
            groups.setdefault(module.group or name, []).append(f"{name}.weight")
    return groups
