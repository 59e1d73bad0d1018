"""Running a model at other weights without touching it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from sde_si.errors import BadInput

Tensors = Mapping[str, torch.Tensor]
Loss = Callable[..., torch.Tensor]
FAINT = 2.0**-40  # what is left of a norm layer's eps while invariance is tested: nothing that rounding would show


def unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """The user's own module inside torch.compile and DistributedDataParallel."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and type(model).__name__ in ("DistributedDataParallel", "DataParallel"):
            inner = model.module
        if not isinstance(inner, torch.nn.Module):
            return model
        model = inner


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Floating-point tensors in nested outputs, also in dataclasses and dict-like objects."""
    if isinstance(value, torch.Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from tensors_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tensors_in(inner)


def _converted(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().to(dtype) if value.is_floating_point() else value.detach()
    if isinstance(value, Mapping):
        return {key: _converted(inner, dtype) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        parts = [_converted(inner, dtype) for inner in value]
        # a named tuple takes its parts one by one
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


@contextlib.contextmanager
def _own_generators(model: torch.nn.Module) -> Iterator[None]:
    """Torch's generators of the CPU and of the model's devices, put back afterwards; the others are not touched."""
    kept = [(generator, generator.get_state()) for generator in _generators(model)]
    try:
        yield
    finally:
        for generator, state in kept:
            generator.set_state(state)


def _generators(model: torch.nn.Module) -> list[torch.Generator]:
    """Of the CPU and of the devices that hold parameters."""
    found = [torch.default_generator]
    for device in {p.device for p in model.parameters()}:
        if device.type == "cuda":
            found.append(torch.cuda.default_generators[device.index or 0])
        elif device.type in ("mps", "xpu"):
            backend = getattr(torch, device.type)
            several = getattr(backend, "default_generators", None)
            found.append(several[device.index or 0] if several else backend._get_default_mps_generator())
    return found


@contextlib.contextmanager
def untouched(model: torch.nn.Module) -> Iterator[None]:
    """Training mode inside; modes, plain attributes, eps and all generators as before afterwards.

    A model in training mode keeps its submodules' modes: frozen norm layers stay frozen.
    """
    modes = {module: module.training for module in model.modules()}
    plain = {
        module: {k: v for k, v in vars(module).items() if isinstance(v, torch.Tensor | bool | int | float | str)}
        for module in model.modules()
    }
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  (users' own global generators)
    try:
        if not model.training:
            model.train()
        with _own_generators(model):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        for module, mode in modes.items():
            module.training = mode
            for name, value in plain[module].items():
                vars(module)[name] = value


@contextlib.contextmanager
def faint_eps(model: torch.nn.Module) -> Iterator[None]:
    """Every module's ``eps`` shrunk to nothing, and put back."""
    kept = {m: vars(m)["eps"] for m in model.modules() if isinstance(vars(m).get("eps"), float)}
    try:
        for module, eps in kept.items():
            module.eps = eps * FAINT  # pyright: ignore[reportAttributeAccessIssue]
        yield
    finally:
        for module, eps in kept.items():
            module.eps = eps  # pyright: ignore[reportAttributeAccessIssue]


class Runner:
    """The model as a pure function of its parameters, in float64 where the model allows.

    Parameters
    ----------
    model : Module
        Inside `untouched`.
    batch : Tensor, sequence or mapping
        A tensor, (inputs, targets), (inputs,), or keyword arguments.
    loss : callable, optional
        ``loss(outputs, targets)``, or ``loss(outputs)`` where the batch holds no targets.

    Raises
    ------
    BadInput
        If the model does not run on the batch.
    """

    def __init__(self, model: torch.nn.Module, batch: Any, loss: Loss | None) -> None:
        self.model, self.loss = model, loss
        first = next((p for p in model.parameters() if p.is_floating_point()), None)
        if first is None:
            raise BadInput("model", "a model with floating-point parameters", type(model).__name__)
        self.batch, self._drawn = batch, _generators(model)
        failures = []
        for dtype in dict.fromkeys((torch.float64, first.dtype)):
            try:
                self._prepare(dtype)
                with torch.no_grad():
                    out = self(self.parameters)
                if bool(torch.isfinite(out).all()) and out.dtype == dtype:
                    return
                failures.append(f"outputs of type {out.dtype} or not finite")
            except Exception as error:
                failures.append(f"{type(error).__name__}: {str(error).partition(chr(10))[0][:120]}")
        raise BadInput(
            "batch", "one training batch that the model runs on", failures[-1], "audit(model, (inputs, targets))"
        )

    def _prepare(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        model = self.model
        self.parameters = {n: _converted(p, dtype).clone() for n, p in model.named_parameters()}
        self.buffers = {n: _converted(b, dtype) for n, b in model.named_buffers()}
        self.inputs = _converted(self.batch, dtype)

    @property
    def rounding(self) -> float:
        """Relative change of outputs below which nothing has changed."""
        return {torch.float64: 1e-8, torch.float32: 1e-4}.get(self.dtype, 3e-2)

    def __call__(self, parameters: Tensors) -> torch.Tensor:
        """Flat outputs, or the loss, at these parameters; the same draws of dropout every time."""
        for generator in self._drawn:
            # Not torch.manual_seed: it also seeds devices that nobody would put back, even before they are used.
            generator.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        values = {**parameters, **{name: b.clone() for name, b in self.buffers.items()}}
        inputs, targets = self.inputs, ()
        if isinstance(inputs, Mapping):
            out = torch.func.functional_call(self.model, values, (), dict(inputs))
        else:
            if isinstance(inputs, list | tuple):
                inputs, targets = inputs[0], tuple(inputs[1:])
            out = torch.func.functional_call(self.model, values, (inputs,))
        if self.loss is not None:
            return self.loss(out, *targets).reshape(-1)
        return torch.cat([t.reshape(-1) for t in tensors_in(out)])
