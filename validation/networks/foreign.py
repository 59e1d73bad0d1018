"""What a network of others does, found by running it: scale-invariant weights, what it keeps, what it draws."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sde_si.audit.forward import Runner, faint_eps, untouched
from sde_si.audit.search import Search


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


def measured_groups(model: nn.Module, batch: Tensor) -> dict[str, list[str]]:
    """Tensors of weights that are scale-invariant each by itself, by the tests of `sde_si.audit`.

    Parameters
    ----------
    model : Module
        It is left as it was.
    batch : Tensor
        Images.

    Returns
    -------
    dict of str to list of str
        As `scale_invariant_groups`: what has no effect on the outputs is none (behind a gain that starts at 0, say,
        it is tried at a random point), nor are gains and biases.

    Raises
    ------
    BadInput
        If the model does not run on the images.
    """
    with untouched(model), faint_eps(model):
        search = Search(Runner(model, batch, None))
        names = [name for name, weight in model.named_parameters() if weight.ndim >= 2 and weight.is_floating_point()]
        found = [name for name in names if search.has_effect(name) and search.level(name)]
    return {name.removesuffix(".weight"): [name] for name in found}
