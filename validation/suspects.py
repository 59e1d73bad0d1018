"""What the confinement law leaves unexplained, suspect by suspect (theory.md 18.5): ``python -m validation.suspects``.

A network is trained to its equilibrium. At several checkpoints the curvature seen by the noise is measured with few and
with many minibatches and products, and the response to a kick by noise three times: of the training itself, to a kick a
tenth as large, and with the weights frozen, minibatch Hessians in the place of gradients. Beside them: the rotation.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from torch import Tensor

from sde_si import HyperParameters, theory
from sde_si.disk import write_bytes
from sde_si.errors import DONE, require
from sde_si.hyperparameters import check_count
from sde_si.provenance import provenance
from sde_si.terminal import Progress, guarded
from validation.data import load
from validation.train.curvature import noise_spectrum
from validation.train.ends import RESPONSE, dynamics, losses
from validation.train.job import Job
from validation.train.loop import Trainer
from validation.train.optimizers import Setting
from validation.train.response import TWINS, responses

Array = np.ndarray
RECORD = Path(__file__).parent / "records" / "suspects.json"
QUADRATURES = {"8 minibatches, 25 products": (8, 25), "44 minibatches, 25 products": (44, 25),
               "44 minibatches, 60 products": (44, 60)}  # fmt: skip
SETTLE, APART = 50, 6  # epochs before the first checkpoint, and between two


class Checkpoint:
    """One network at one place, with minibatches of its own.

    Parameters
    ----------
    trainer : Trainer
        Of one seed; not advanced by any measurement.
    delays : int
        Steps to follow a kick.
    """

    def __init__(self, trainer: Trainer, delays: int) -> None:
        hp = trainer.job.hyperparameters
        self.trainer, self.delays, self.hp = trainer, delays, hp
        self.x, self.state = trainer.stack.x[0].clone(), [s[0].clone() for s in trainer.state]
        self.size = trainer.stack.layout.invariant
        extra = TWINS + max(seen for seen, _ in QUADRATURES.values()) + 2
        drawn = trainer.orders(trainer.epoch, hp.B, delays + extra, RESPONSE)
        self.setting = Setting(hp.lr, hp.wd, hp.momentum, 0.0, 0.0, 1)
        self.loss = losses(trainer, drawn, 0)
        _, self._gradient_and_loss = dynamics(trainer, drawn, 0, self.setting)

    def gradient(self, x: Tensor, i: int) -> Tensor:
        """Of minibatch number i."""
        return self._gradient_and_loss(x, i)[0]

    def kicked(self, share: float = 1.0) -> tuple[Array, float]:
        """Response of the training to `share` of another minibatch in the place of the first."""

        def step(x: Tensor, state: list[Tensor], i: int) -> None:
            g = self.gradient(x, i)
            if i >= self.delays:
                g = (1 - share) * self.gradient(x, 0) + share * g
            self.trainer.optimizer.update(x, state, g, self.setting)

        return responses(step, self.x, self.state, self.delays, self.size)

    def frozen(self) -> Array:
        """Response at weights that do not move, to first order in the kick.

        The minibatch Hessians H_i of this place take it from step to step, d_2 = (1 + mu - u - lr H_i) d_1 - mu d_0.
        Minibatch 0 made half of the kick, so the first to answer is H_1, as in `responses`.
        """
        hp, first = self.hp, self.gradient(self.x, 0)
        out, whole = np.zeros(self.delays), 0.0
        for twin in range(TWINS):
            now, before = hp.lr * (first - self.gradient(self.x, self.delays + twin)), torch.zeros_like(first)
            kick = now.double().clone()
            whole += float(kick @ kick)
            out[0] += float(kick @ kick)
            for j in range(1, self.delays):
                at = self.x.detach().requires_grad_()
                (slope,) = torch.autograd.grad(self.loss(at, j), at, create_graph=True)
                (pulled,) = torch.autograd.grad(slope, at, now)
                now, before = (1 + hp.momentum - hp.intrinsic_lr) * now - hp.lr * pulled - hp.momentum * before, now
                out[j] += float(kick @ now.double())
        return out / whole

    def spectrum(self, seen: int, products: int) -> tuple[Array, Array]:
        """Curvatures seen by the noise, and their shares."""
        low = self.delays + TWINS
        return noise_spectrum(lambda x, i: self.loss(x, low + i), self.x, seen, vectors=2, products=products)


def _by_response(hp: HyperParameters, sizes: Array, curves: Array, places: list[int]) -> Array:
    """1 - cos of 18.8 at all lags, from the responses of some places."""
    return theory.response_versines(hp.intrinsic_lr, hp.momentum, sizes[places] @ curves[places])


def _by_curvature(
    hp: HyperParameters, sizes: Array, spectra: list[tuple[Array, Array]], last: int, least: float, places: list[int]
) -> Array:
    """1 - cos of 18.7 up to lag `last`, from the spectra of some places; curvature below `least` counts as that."""
    pulls = hp.lr * np.maximum(np.concatenate([spectra[i][0] for i in places]), least)
    shares = np.concatenate([sizes[i] * spectra[i][1] for i in places])
    return theory.confined_versines(last, hp.intrinsic_lr, hp.momentum, pulls, shares)


def _with_error(of: Callable[[list[int]], Array], places: int) -> tuple[Array, Array]:
    """A function of the places and its standard error, by leaving out one after another."""
    every = list(range(places))
    without = np.array([of(every[:i] + every[i + 1 :]) for i in every])
    return of(every), np.sqrt((places - 1) * without.var(0))


def suspects(job: Job, lags: Sequence[int], checkpoints: int, quiet: bool = False) -> dict[str, Any]:
    """1 - cos at `lags` by every way of measuring, mean over checkpoints, and its standard error from their scatter."""
    images = load(job.data, N=job.hyperparameters.N, size=job.image_size)
    trainer, hp = Trainer(job, images, [job.seed]), job.hyperparameters
    kinds: dict[str, list[Array]] = {"response": [], "response to a tenth of a kick": [], "response, frozen": []}
    spectra: dict[str, list[tuple[Array, Array]]] = {name: [] for name in QUADRATURES}
    weights = []
    with Progress("suspects", checkpoints, quiet) as progress:
        for number in range(checkpoints):
            for _ in range(APART if number else SETTLE):
                trainer.run_epoch()
            here = Checkpoint(trainer, lags[-1] + 1)
            found, size = here.kicked()
            weights.append(size / float(here.x[: here.size].double().square().sum()))
            for name, one in zip(kinds, (found, here.kicked(0.1)[0], here.frozen()), strict=True):
                kinds[name].append(one)
            for name, (seen, products) in QUADRATURES.items():
                spectra[name].append(here.spectrum(seen, products))
            progress.advance(1)
    sizes = np.array(weights)
    laws: dict[str, Callable[[list[int]], Array]] = {
        name: partial(_by_response, hp, sizes, np.array(curves)) for name, curves in kinds.items()
    }
    negative: dict[str, float] = {}
    for name, found in spectra.items():
        for kept, least in (("", 0.0), (", negative kept", -np.inf)):
            laws[name + kept] = partial(_by_curvature, hp, sizes, found, lags[-1], least)
        nodes, shares = (np.concatenate([one[i] for one in found]) for i in (0, 1))
        shares = shares * np.repeat(sizes, [one[0].size for one in found])
        negative[name] = float(shares[nodes < 0].sum() / shares.sum())
    both = {name: _with_error(law, checkpoints) for name, law in laws.items()}
    versines, errors = ({name: [float(pair[i][lag]) for lag in lags] for name, pair in both.items()} for i in (0, 1))
    return {"versines": versines, "errors": errors, "negative share": negative}


def main(args: Sequence[str] | None = None) -> int:
    """Measure, print and record; returns the exit code."""
    return guarded(lambda: tyro.cli(_main, prog="python -m validation.suspects", args=args))


def _main(momentum: float = 0.9, checkpoints: int = 4, epoch_steps: int = 44) -> int:
    """Each suspect on its own, for si-mlp on digits with shifts.

    Parameters
    ----------
    momentum
        Momentum coefficient; the tuning factor is the same for all.
    checkpoints
        Places at which all is measured, at least 2: their scatter gives the errors.
    epoch_steps
        Minibatches of 32 in the set.
    """
    require(0 <= momentum < 1, "momentum", "a number in [0, 1)", momentum, "0.9")
    check_count("checkpoints", checkpoints, least=2, advice="4")
    hp = HyperParameters(N=32 * epoch_steps, B=32, lr=0.1, wd=1.6e-2 * (1 - momentum), momentum=momentum, epochs=1000)
    job = Job(network="si-mlp", width=64, data="digits", augment=("shift",), hyperparameters=hp, sampling="replacement",
              noise_batches=0, evaluate_every=1000)  # fmt: skip
    lags = [1, 4, 11, 44, 110, 220, 440]
    torch.set_num_threads(1)
    found = suspects(job, lags, checkpoints)
    whole = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    whole[f"momentum {momentum:g}"] = {"lags": lags, "checkpoints": checkpoints, **found,
                                       "configuration": job.configuration(), "provenance": provenance()}  # fmt: skip
    write_bytes(f"{json.dumps(whole, indent=1)}\n".encode(), RECORD)
    print(json.dumps(found, indent=1))
    return DONE


if __name__ == "__main__":
    sys.exit(main())
