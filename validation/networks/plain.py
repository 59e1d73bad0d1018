"""Networks without residual sums: Kodryan et al.'s ConvNet, a perceptron, DenseNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from validation.networks.layers import FixedLinear, SIConv2d, SILinear
from validation.networks.resnet import Norm


class ConvNet(nn.Module):
    """3x3 convolution, normalisation, rectifier, pooling by 2, four times; maximum; fixed last layer of norm 10.

    Parameters
    ----------
    channels, classes, width : int
        Of the images; of the labels; channels of the first convolution, which double from one to the next.
    blocks : int
        Convolutions.
    norm : callable
    """

    def __init__(self, channels: int, classes: int, width: int, blocks: int, norm: Norm) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(blocks):
            inputs = width * 2 ** (i - 1) if i else channels
            layers += [SIConv2d(inputs, width * 2**i), norm(width * 2**i), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if i < blocks - 1 else []
        self.features = nn.Sequential(*layers)
        self.head = FixedLinear(width * 2 ** (blocks - 1), classes, norm=10.0)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.features(x).amax((2, 3)))


class Perceptron(nn.Module):
    """Linear maps, each normalised and rectified; fixed last layer of norm 10."""

    def __init__(self, inputs: int, classes: int, width: int, blocks: int, norm: Norm) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(blocks):
            layers += [SILinear(width if i else inputs, width), norm(width), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.head = FixedLinear(width, classes, norm=10.0)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.features(x.flatten(1)))


class DenseLayer(nn.Module):
    """Bottleneck of DenseNet-BC: its output is concatenated, and every reader normalises it."""

    def __init__(self, inputs: int, growth: int, norm: Norm) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(inputs), SIConv2d(inputs, 4 * growth, 1)
        self.norm2, self.conv2 = norm(4 * growth), SIConv2d(4 * growth, growth)

    def forward(self, x: Tensor) -> Tensor:
        """The input with the layer's channels behind it."""
        y = self.conv1(F.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(F.relu(self.norm2(y)))], 1)


class DenseNet(nn.Module):
    """DenseNet-BC with compression 1/2; normalised after pooling, last layer fixed.

    Parameters
    ----------
    channels, classes : int
    growth : int
        Channels that each layer adds (12).
    blocks : tuple of int
        Layers of each dense block ((16, 16, 16): 100 layers).
    norm : callable
    """

    def __init__(self, channels: int, classes: int, growth: int, blocks: tuple[int, ...], norm: Norm) -> None:
        super().__init__()
        width = 2 * growth
        layers: list[nn.Module] = [SIConv2d(channels, width)]
        for i, count in enumerate(blocks):
            for _ in range(count):
                layers.append(DenseLayer(width, growth, norm))
                width += growth
            if i < len(blocks) - 1:
                layers += [norm(width), nn.ReLU(), SIConv2d(width, width // 2, 1), nn.AvgPool2d(2)]
                width //= 2
        self.features = nn.Sequential(*layers, norm(width), nn.ReLU())
        self.last, self.head = norm(width), FixedLinear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.last(self.features(x).mean((2, 3))))
