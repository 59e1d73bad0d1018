"""The whole state of a training, kept and put back to the bit: weights, buffers, optimizer, generators."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer


def generators_of(data: Any) -> list[torch.Generator]:
    """The generators of a DataLoader, its sampler and its batch sampler."""
    owners = [data, getattr(data, "sampler", None), getattr(data, "batch_sampler", None)]
    owners.append(getattr(owners[2], "sampler", None))
    found = [getattr(owner, "generator", None) for owner in owners]
    return list({id(one): one for one in found if isinstance(one, torch.Generator)}.values())


class Snapshot:
    """State of model, optimizer and random numbers at one moment.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
    generators : sequence of torch.Generator
        Besides the global ones of Python, NumPy and torch (every CUDA device).
    """

    def __init__(
        self, model: torch.nn.Module, optimizer: Optimizer, generators: Sequence[torch.Generator] = ()
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.tensors = {id(t): (t, t.detach().clone()) for t in _tensors(model, optimizer)}
        self.gradients = [(p, p.grad, None if p.grad is None else p.grad.detach().clone())
                          for p in _parameters(model, optimizer)]  # fmt: skip
        self.modes = [(module, module.training) for module in model.modules()]
        self.buffers = [(module, dict(module._buffers)) for module in model.modules()]
        # Plain values of the modules, as counters; modules, parameters and buffers are kept above.
        self.values = [(module, _plain(vars(module))) for module in model.modules()]
        self.state = {p: _keep(values) for p, values in optimizer.state.items()}
        self.groups = [_keep({k: v for k, v in group.items() if k != "params"}) for group in optimizer.param_groups]
        self.own = _plain(vars(optimizer))
        self.python, self.numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - it is the user's
        self.torch = torch.get_rng_state()
        self.cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []
        self.generators = [(one, one.get_state().clone()) for one in generators]

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back; tensors keep their identity."""
        for module, buffers in self.buffers:
            module._buffers.clear()
            module._buffers.update(buffers)
        for module, values in self.values:
            _put_values(vars(module), values)
        for tensor, content in self.tensors.values():
            _put(tensor, content)
        for parameter, gradient, content in self.gradients:
            parameter.grad = gradient
            if gradient is not None and content is not None:
                _put(gradient, content)
        for module, training in self.modes:
            module.training = training
        self.optimizer.state.clear()
        for parameter, kept in self.state.items():
            self.optimizer.state[parameter] = _back(kept)
        for group, kept in zip(self.optimizer.param_groups, self.groups, strict=True):
            values = _back(kept)
            for key in [key for key in group if key != "params" and key not in values]:
                del group[key]
            group.update(values)
        _put_values(vars(self.optimizer), self.own)
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002
        torch.set_rng_state(self.torch)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)
        for generator, state in self.generators:
            generator.set_state(state)


def _parameters(model: torch.nn.Module, optimizer: Optimizer) -> list[Tensor]:
    """Parameters of both, each once."""
    both = [*model.parameters(), *(p for group in optimizer.param_groups for p in group["params"])]
    return list({id(p): p for p in both}.values())


def _tensors(model: torch.nn.Module, optimizer: Optimizer) -> list[Tensor]:
    return [*_parameters(model, optimizer), *model.buffers()]


def _put(tensor: Tensor, content: Tensor) -> None:
    """The content back into the tensor itself: bits, not values, so that NaNs and signs of zero come back, too."""
    if tensor.shape != content.shape or tensor.dtype != content.dtype or tensor.device != content.device:
        tensor.data = content.clone()
    else:
        tensor.detach().copy_(content)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if isinstance(value, bool | int | float | str)}


def _put_values(now: dict[str, Any], kept: dict[str, Any]) -> None:
    """Plain values as they were; those that came anew go."""
    for name in _plain(now).keys() - kept.keys():
        del now[name]
    now.update(kept)


def _keep(values: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Every value itself, and a copy of what is in it."""
    return {k: (v, v.detach().clone() if isinstance(v, Tensor) else copy.deepcopy(v)) for k, v in values.items()}


def _back(kept: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    out = {}
    for name, (itself, content) in kept.items():
        if isinstance(itself, Tensor):
            _put(itself, content)
            out[name] = itself
        else:
            out[name] = copy.deepcopy(content)
    return out
