"""A residual network without normalisation: the control whose weights are not scale-invariant."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from validation.networks.layers import SIConv2d


def _scalar(value: float) -> nn.Parameter:
    return nn.Parameter(torch.full((1,), value))


class FixupBlock(nn.Module):
    """Two 3x3 convolutions with scalar shifts and one scalar scale in the place of normalisation.

    The second convolution starts at 0, the first one is small: `share` of He's initialisation.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, share: float) -> None:
        super().__init__()
        self.shifts = nn.ParameterList([_scalar(0.0) for _ in range(4)])
        self.scale = _scalar(1.0)
        self.conv1, self.conv2 = SIConv2d(inputs, outputs, 3, stride), SIConv2d(outputs, outputs)
        nn.init.kaiming_normal_(self.conv1.weight, nonlinearity="relu")
        with torch.no_grad():
            self.conv1.weight.mul_(share)
            self.conv2.weight.zero_()
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = SIConv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Output of the block."""
        a, b, c, d = self.shifts
        y = F.relu(self.conv1(x + a) + b)
        return F.relu(self.scale * self.conv2(y + c) + d + self.shortcut(x + a))


class FixupResNet(nn.Module):
    """ResNet without normalisation (Zhang, Dauphin and Ma 2019); parameters as in `ResNet`.

    Its convolutions are declared as groups so that they are measured as those of other networks are; they are not
    scale-invariant.
    """

    def __init__(self, channels: int, classes: int, width: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.stem, self.shift = SIConv2d(channels, width), _scalar(0.0)
        nn.init.kaiming_normal_(self.stem.weight, nonlinearity="relu")
        stages, inputs = [], width
        for stage, count in enumerate(blocks):
            outputs = width * 2**stage
            for i in range(count):
                stages.append(FixupBlock(inputs, outputs, 2 if stage and i == 0 else 1, sum(blocks) ** -0.5))
                inputs = outputs
        self.stages, self.last, self.head = nn.Sequential(*stages), _scalar(0.0), nn.Linear(inputs, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.stages(F.relu(self.stem(x) + self.shift)).mean((2, 3)) + self.last)
