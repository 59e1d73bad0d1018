"""What a network of others does, found by running it: scale-invariant weights, what it keeps, what it draws."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Habits:
    """What a network does in training beside computing.

    Attributes
    ----------
    moving : tuple of str
        Buffers that it changes itself (running statistics).
    random : bool
        Whether it draws from torch's generator (dropout).
    """

    moving: tuple[str, ...] = ()
    random: bool = False

    @property
    def alone(self) -> str:
        """What keeps it from training stacked with others, in words; "" if nothing does."""
        found = ["running statistics"] * bool(self.moving) + ["random layers"] * self.random
        return " and ".join(found)


def habits(model: nn.Module, batch: Tensor) -> Habits:
    """Run the model once on images, in training mode; model and generator are left as they were."""
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    state, mode = torch.get_rng_state(), model.training
    with torch.no_grad():
        model.train()(batch)
    random = not torch.equal(torch.get_rng_state(), state)
    moving = tuple(name for name, buffer in model.named_buffers() if not torch.equal(buffer, before[name]))
    torch.set_rng_state(state)
    model.train(mode)
    for name, buffer in model.named_buffers():
        buffer.copy_(before[name])
    return Habits(moving, random)


def measured_groups(model: nn.Module, batch: Tensor, tolerance: float = 1e-3) -> dict[str, list[str]]:
    """Weights that are scale-invariant each by itself, found by doubling them one after another.

    Parameters
    ----------
    model : Module
        In training mode; it is left as it was.
    batch : Tensor
        Images.
    tolerance : float
        Relative change of the logits up to which a weight counts as scale-invariant; eps of the normalisation alone
        changes them by about eps/variance.
    """
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad():
        generator = torch.get_rng_state()
        reference = model(batch)
        groups = {}
        for name, weight in model.named_parameters():
            if weight.ndim < 2:
                continue
            torch.set_rng_state(generator)
            weight.mul_(2)
            change = (model(batch) - reference).norm() / reference.norm()
            weight.div_(2)
            if change < tolerance:
                groups[name.removesuffix(".weight")] = [name]
        torch.set_rng_state(generator)
        for name, buffer in model.named_buffers():
            buffer.copy_(before[name])
    return groups
