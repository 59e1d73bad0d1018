"""A small squeeze-and-excitation network with SiLU: scale-variant parts beside scale-invariant ones."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from validation.networks.layers import SIConv2d
from validation.networks.resnet import Norm


class Squeeze(nn.Module):
    """Scale every channel by a gate that a small perceptron makes of the channels' means (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        inner = max(channels // reduction, 1)
        self.down, self.up = nn.Linear(channels, inner), nn.Linear(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        """The gated channels."""
        gate = self.up(F.silu(self.down(x.mean((2, 3))))).sigmoid()
        return x * gate[:, :, None, None]


class SqueezeBlock(nn.Module):
    """A residual block of two normalised 3x3 convolutions with SiLU, the second one's output squeezed."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1, self.norm1 = SIConv2d(inputs, outputs, 3, stride), norm(outputs)
        self.conv2, self.norm2 = SIConv2d(outputs, outputs), norm(outputs)
        self.squeeze = Squeeze(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(SIConv2d(inputs, outputs, 1, stride), norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Output of the block."""
        y = self.norm2(self.conv2(F.silu(self.norm1(self.conv1(x)))))
        return F.silu(self.squeeze(y) + self.shortcut(x))


class SqueezeNet(nn.Module):
    """Stem, blocks, mean over the pixels, trained last layer; parameters as in `ResNet`."""

    def __init__(self, channels: int, classes: int, width: int, blocks: Sequence[int], norm: Norm) -> None:
        super().__init__()
        self.stem, self.norm = SIConv2d(channels, width), norm(width)
        stages, inputs = [], width
        for stage, count in enumerate(blocks):
            outputs = width * 2**stage
            for i in range(count):
                stages.append(SqueezeBlock(inputs, outputs, 2 if stage and i == 0 else 1, norm))
                inputs = outputs
        self.stages, self.head = nn.Sequential(*stages), nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.stages(F.silu(self.norm(self.stem(x)))).mean((2, 3)))
