"""A torch model of pure gradient noise, for tests of the monitor."""

from __future__ import annotations

import math

import torch


class Noise(torch.nn.Module):
    """Weights whose loss depends on their direction alone, with gradients of mean zero: <m, w/|w|>, fresh normal m."""

    def __init__(self, *sizes):
        super().__init__()
        self.weights = torch.nn.ParameterList(torch.nn.Parameter(torch.randn(n) / math.sqrt(n)) for n in sizes)

    def forward(self, generator, mean=0.0):
        total = 0.0
        for w in self.weights:
            m = torch.randn(w.shape, generator=generator)
            m[0] -= mean
            total = total + m @ (w / torch.linalg.vector_norm(w))
        return total


def train(model, optimizer, steps, seed=0, mean=0.0, each=None):
    generator = torch.Generator().manual_seed(seed)
    for k in range(steps):
        optimizer.zero_grad()
        model(generator, mean).backward()
        optimizer.step()
        if each:
            each(k)
