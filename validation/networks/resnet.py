"""Residual networks: Yun et al.'s scale-invariant ResNet-18, the plain one, Kodryan et al.'s pre-activation one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from validation.networks.layers import FixedLinear, Shares, SIConv2d

Norm = Callable[[int], nn.Module]


class Block(nn.Module):
    """Two 3x3 convolutions, each normalised, and a shortcut that is normalised where it has a convolution.

    With `pooled`, a shortcut that halves the size averages before its convolution (ResNet-D).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm, *, pooled: bool = False) -> None:
        super().__init__()
        self.conv1, self.norm1 = SIConv2d(inputs, outputs, 3, stride), norm(outputs)
        self.conv2, self.norm2 = SIConv2d(outputs, outputs), norm(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(SIConv2d(inputs, outputs, 1, stride), norm(outputs))
        if pooled and stride != 1:
            pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
            self.shortcut = nn.Sequential(pool, SIConv2d(inputs, outputs, 1), norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Output of the block."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ShakeBlock(nn.Module):
    """Two branches, each of two normalised convolutions, mixed at random (Gastaldi 2017), and the shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm) -> None:
        super().__init__()
        layers = lambda: (  # noqa: E731
            SIConv2d(inputs, outputs, 3, stride), norm(outputs), nn.ReLU(), SIConv2d(outputs, outputs), norm(outputs)
        )  # fmt: skip
        self.first, self.second = nn.Sequential(*layers()), nn.Sequential(*layers())
        self.mix, self.shortcut = Shares(), nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(SIConv2d(inputs, outputs, 1, stride), norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Output of the block."""
        return F.relu(self.mix(self.first(x), self.second(x)) + self.shortcut(x))


class Bottleneck(nn.Module):
    """Convolutions of 1, 3 and 1 pixels, the last to `outputs` channels, four times those of the others.

    The stride is the first one's, as in the first ResNet; with `late` it is the second one's (ResNet-B, He et al.
    2019), which throws no pixel away.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm, *, late: bool = False) -> None:
        super().__init__()
        inner, (first, second) = max(outputs // 4, 1), (1, stride) if late else (stride, 1)
        self.conv1, self.norm1 = SIConv2d(inputs, inner, 1, first), norm(inner)
        self.conv2, self.norm2 = SIConv2d(inner, inner, 3, second), norm(inner)
        self.conv3, self.norm3 = SIConv2d(inner, outputs, 1), norm(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(SIConv2d(inputs, outputs, 1, stride), norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Output of the block."""
        y = F.relu(self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))
        return F.relu(self.norm3(self.conv3(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """ResNet with the 3x3 stem for small images.

    Parameters
    ----------
    channels, classes : int
        Of the images; of the labels.
    width : int
        Channels of the first stage; they double from stage to stage.
    blocks : sequence of int
        Blocks of each stage.
    norm : callable
        ``norm(channels)`` makes a normalisation layer.
    fixed : bool
        Scale-invariant to all it trains: normalised after pooling, last layer fixed (Yun et al. section 3.1).
    deep : bool
        Three convolutions in the stem (ResNet-C; He et al. 2019).
    block : callable
        ``block(inputs, outputs, stride, norm)`` makes a block.
    expansion : int
        Channels that leave a block of the first stage, over `width`.
    """

    def __init__(
        self, channels: int, classes: int, width: int, blocks: Sequence[int], norm: Norm, *, fixed: bool,
        deep: bool = False, block: Callable[[int, int, int, Norm], nn.Module] = Block, expansion: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        before: list[nn.Module] = []
        for inner in (channels, max(width // 2, 1)) if deep else ():
            before += [SIConv2d(inner, max(width // 2, 1)), norm(max(width // 2, 1)), nn.ReLU()]
        self.before = nn.Sequential(*before)
        self.stem, self.norm = SIConv2d(max(width // 2, 1) if deep else channels, width), norm(width)
        stages, inputs = [], width
        for stage, count in enumerate(blocks):
            outputs = expansion * width * 2**stage
            for i in range(count):
                stages.append(block(inputs, outputs, 2 if stage and i == 0 else 1, norm))
                inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.last = norm(inputs) if fixed else nn.Identity()
        self.head = FixedLinear(inputs, classes) if fixed else nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.stages(F.relu(self.norm(self.stem(self.before(x)))))
        return self.head(self.last(x.mean((2, 3))))


class PreactBlock(nn.Module):
    """Normalise, rectify, convolve, twice; the sum is not normalised: its convolutions are invariant together."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm, stream: str) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(inputs), SIConv2d(inputs, outputs, 3, stride)
        self.norm2, self.conv2 = norm(outputs), SIConv2d(outputs, outputs, group=stream)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            # The extra normalisation cuts the stream of the stage before off from this one.
            self.shortcut = nn.Sequential(norm(inputs), SIConv2d(inputs, outputs, 1, stride, group=stream))

    def forward(self, x: Tensor) -> Tensor:
        """Output of the block."""
        y = self.conv1(F.relu(self.norm1(x)))
        return self.conv2(F.relu(self.norm2(y))) + self.shortcut(x)


class PreactResNet(nn.Module):
    """Kodryan et al.'s pre-activation ResNet; parameters as in `ResNet`; the last layer is fixed, of norm 10."""

    def __init__(self, channels: int, classes: int, width: int, blocks: Sequence[int], norm: Norm) -> None:
        super().__init__()
        self.stem = SIConv2d(channels, width, group="stream1")
        stages, inputs = [], width
        for stage, count in enumerate(blocks):
            outputs = width * 2**stage
            for i in range(count):
                stride = 2 if stage and i == 0 else 1
                stages.append(PreactBlock(inputs, outputs, stride, norm, f"stream{stage + 1}"))
                inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.last, self.head = norm(inputs), FixedLinear(inputs, classes, norm=10.0)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = F.relu(self.last(self.stages(self.stem(x))))
        return self.head(x.mean((2, 3)))
