"""What is measured at the end of an epoch: signal and noise, the test set, curvature, response, asymmetry."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from validation.train.curvature import HESSIAN_BATCHES, PRODUCTS, VECTORS, noise_spectrum
from validation.train.optimizers import Setting
from validation.train.response import LOSS_BATCHES, TWINS, WAYS, asymmetry, responses

if TYPE_CHECKING:
    from validation.train.loop import Order, Trainer

_EVALUATION = 1024  # images of a chunk
_CALIBRATION = 2048  # training images by which the normalisation of an evaluation is measured
MEASURING, CURVATURE, RESPONSE, ASYMMETRY = range(1, 5)  # what minibatches are for: each purpose has streams of its own


def measured(trainer: Trainer, epoch: int, B: int) -> dict[str, Any]:
    """All that this epoch's end is to give, by the name that the results have for it, (path, ...) each."""
    job = trainer.job
    with trainer.stack.measuring():
        found = _signal_and_noise(trainer, epoch, B)
        if epoch in job.checkpoints(job.curvature):
            found |= _curvature(trainer, epoch, B)
        if epoch in job.checkpoints(job.response):
            found |= _response(trainer, epoch, B)
    return found | _test(trainer, epoch, B)


def _signal_and_noise(trainer: Trainer, epoch: int, B: int) -> dict[str, Any]:
    """By independent batches (theory.md 7.6): parts of one permutation have G too low by tau B/N."""
    layout, x, m = trainer.stack.layout, trainer.stack.x, trainer.job.noise_batches
    shape = len(trainer.seeds), len(layout.names)
    signal = noise = np.full(shape, np.nan)
    if m > 1:
        order = trainer.orders(epoch, B, m, MEASURING, independent=True)
        total, squares = torch.zeros_like(x), torch.zeros(shape, dtype=torch.float64, device=x.device)
        for i in range(m):
            gradient, _ = trainer.gradients(order, i)
            total += gradient
            squares += layout.dots(gradient, gradient)
        radius, whole = layout.dots(x, x), layout.dots(total, total)
        signal = ((whole - squares) / (m * (m - 1)) * radius).cpu().numpy()
        noise = ((squares - whole / m) / (m - 1) * radius).cpu().numpy()
    return {"signal": signal, "noise_trace": noise}


def _test(trainer: Trainer, epoch: int, B: int) -> dict[str, Any]:
    """Loss and accuracy on the test set, at the epochs that look at it."""
    job, seen = trainer.job, np.full((len(trainer.seeds), 2), np.nan)
    if (epoch + 1) % job.evaluate_every == 0 or epoch + 1 == job.hyperparameters.epochs:
        known, test = trainer.batches, trainer.test
        most = min(max(_CALIBRATION, B), known.N)
        calibration = [known.scaled(known.images[low : low + B]) for low in range(0, most - B + 1, B)]
        chunks = [
            (test.scaled(test.images[low : low + _EVALUATION]), test.labels[low : low + _EVALUATION])
            for low in range(0, test.N, _EVALUATION)
        ]
        seen = np.array(trainer.stack.evaluate(calibration, chunks, trainer.average))
    return {"test_loss": seen[:, 0], "test_accuracy": seen[:, 1]}


def _curvature(trainer: Trainer, epoch: int, B: int) -> dict[str, Any]:
    """What the noise sees of the curvature, network by network; nan for one that has diverged."""
    order, stack = trainer.orders(epoch, B, HESSIAN_BATCHES + VECTORS, CURVATURE), trainer.stack
    found = []
    for p in range(len(trainer.seeds)):
        if trainer.dead[p] >= 0:
            found.append(np.full((2, VECTORS * PRODUCTS), np.nan))
            continue
        loss = losses(trainer, order, p)
        found.append(noise_spectrum(loss, stack.x[p], HESSIAN_BATCHES, vectors=VECTORS, products=PRODUCTS))
    nodes, weights = zip(*found, strict=True)
    return {"curvature": nodes, "curvature_weight": weights}


def _response(trainer: Trainer, epoch: int, B: int) -> dict[str, Any]:
    """How each network answers to its own noise, and the asymmetry of its ways; nan for one that has diverged."""
    stack, lags = trainer.stack, trainer.job.lags
    kicks = trainer.orders(epoch, B, lags[-1] + TWINS, RESPONSE)
    ways = trainer.orders(epoch, B, WAYS * lags[-1] + LOSS_BATCHES, ASYMMETRY)
    lr, momentum = trainer.timetable.lr_and_momentum(epoch)
    setting = Setting(float(lr[-1]), trainer.job.hyperparameters.wd, float(momentum[-1]), *trainer.job.extras, 1)
    found: dict[str, list[Any]] = {"response": [], "kick_size": [], "asymmetry": []}
    squares = stack.layout.dots(stack.x, stack.x)[:, -1].cpu().numpy()
    for p, square in enumerate(squares):
        if trainer.dead[p] >= 0:
            for name, size in (("response", lags[-1]), ("kick_size", ()), ("asymmetry", len(lags))):
                found[name].append(np.full(size, np.nan))
            continue
        at = stack.x[p], [s[p] for s in trainer.state]
        step, _ = dynamics(trainer, kicks, p, setting)
        response, kick = responses(step, *at, lags[-1], stack.layout.invariant, twins=TWINS)
        found["response"].append(response)
        found["kick_size"].append(kick / square)
        along = asymmetry(*dynamics(trainer, ways, p, setting), *at, lags, stack.layout.invariant, ways=WAYS,
                          batches=LOSS_BATCHES)  # fmt: skip
        found["asymmetry"].append(-setting.lr * along / square)
    return found


def losses(trainer: Trainer, order: Order, p: int) -> Callable[[Tensor, int], Tensor]:
    """A network's loss at any weights (size,) on minibatch number i of an order."""

    @lru_cache(maxsize=HESSIAN_BATCHES + VECTORS)  # the curvature asks for each of its minibatches many times
    def batch(i: int) -> tuple[Tensor, Tensor]:
        return trainer.batches.batch(order.indices[p, i], order.moves[p, i])

    return lambda x, i: trainer.stack.loss(x, p, *batch(i))


def dynamics(
    trainer: Trainer, order: Order, p: int, setting: Setting
) -> tuple[Callable[[Tensor, list[Tensor], int], None], Callable[[Tensor, int], tuple[Tensor, Tensor]]]:
    """A network's optimizer step, in place, and its gradient and loss, with minibatch number i of an order."""
    loss_of = losses(trainer, order, p)

    def gradient_and_loss(x: Tensor, i: int) -> tuple[Tensor, Tensor]:
        at = x.detach().requires_grad_()
        loss = loss_of(at, i)
        return torch.autograd.grad(loss, at)[0], loss.detach()

    def step(x: Tensor, state: list[Tensor], i: int) -> None:
        trainer.optimizer.update(x, state, gradient_and_loss(x, i)[0], setting)

    return step, gradient_and_loss
