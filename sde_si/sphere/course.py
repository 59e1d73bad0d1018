"""Courses at fixed effective learning rates: what every start of a sweep did, sampled over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.errors import require
from sde_si.hyperparameters import SMALLEST, HyperParameters, check_count, check_number
from sde_si.machine import check_memory, usable_cores
from sde_si.methods import Method
from sde_si.problem import Problem
from sde_si.resolve import find_method, resolve
from sde_si.run import Run
from sde_si.sphere.toy import Pairs, random_squares
from sde_si.streams import START, generator

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
HELD = ("total", "groups")
SAMPLES = 500  # of every course, about
LARGEST = 1e9  # effective LR of the toy, times the sum of its alphas
EVERY = 64  # first iterations of the toy, each of them a sample
Progress = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a sweep varies the effective learning rate of.

    Attributes
    ----------
    problem : Problem
    constraint : {"total", "groups"}
        What is held at length 1 after every step: all weights together (Kodryan et al.), or each group at an equal
        share of it (theory.md 5.1).
    method : {"sgd", "em"}
        Projected SGD, or the projected Euler-Maruyama step of the SDE on the sphere (theory.md 3.3 ii).
    noise : str
        ``none``: the exact gradient; ``minibatch`` for a finite sum; else a name in `sde_si.NOISES`.
    B, N, substeps : int
        Batch size; rows of a generated finite sum; substeps of ``em``.
    starts, iterations, seed : int
        Random starts, iterations of each.
    threads : int or None
    """

    problem: Problem
    constraint: str = "total"
    method: str | Method = "sgd"
    noise: str = "none"
    B: int = 1
    N: int | None = None
    substeps: int | None = None
    starts: int = 16
    iterations: int = 20_000
    seed: int = 0
    threads: int | None = None

    def __post_init__(self) -> None:
        require(self.constraint in HELD, "constraint", f"one of {', '.join(HELD)}", repr(self.constraint), "total")
        method = find_method(self.method)
        object.__setattr__(self, "method", method.name)
        require(method.name in ("sgd", "em"), "method", "sgd or em on the sphere", method.name, "sgd")
        for name, least, advice in (("starts", 1, "16"), ("iterations", 100, "20000"), ("seed", 0, "0"), ("B", 1, "1")):
            check_count(name, getattr(self, name), least, advice)
        if self.N is not None:
            check_count("N", self.N, 2, "1000")
        if self.threads is not None:
            check_count("threads", self.threads)
        finite_sum = self.problem.loss.finite_sum
        known = f"noise for loss {self.problem.loss.name} and method {method.name}"
        if self.noise == "minibatch":
            ok = finite_sum and not method.sde
            require(ok, "noise", "minibatch only for a finite sum (pca, regression) and sgd", known, "gaussian or none")
        self.run(1.0)  # refuses what cannot be run

    @property
    def groups(self) -> int:
        """Scale-invariant groups."""
        return self.run(1.0).arrays.groups

    @property
    def fast(self) -> bool:
        """Whether the toy's own time loop does it (`sde_si.sphere.toy`)."""
        exact = self.noise == "none" and find_method(self.method).name == "sgd"
        return exact and self.problem.loss.name == "groups" and self.constraint == "total"

    @property
    def stride(self) -> int:
        """Iterations between samples: odd, so that a two-cycle shows both of its points."""
        return max(1, self.iterations // SAMPLES) // 2 * 2 + 1

    def run(self, effective_lr: float) -> Run:
        """The general kernel's run at one effective learning rate."""
        loss, stride = self.problem.loss, self.stride
        N, B = self.N or self.problem.default_N(), self.B
        given = None if self.noise in ("none", "minibatch") else self.noise
        if not loss.finite_sum:
            N = B * stride
        elif self.noise == "none":
            N = N or 1000
            B = max(1, N // stride)
        hp = HyperParameters(N=N or 1000, B=B, lr=effective_lr, wd=0.0, momentum=0.0)
        hp = hp.replace(epochs=max(1, math.ceil(self.iterations / hp.steps_per_epoch)))
        method = find_method(self.method)
        run = resolve(self.problem, hp, method=method, paths=self.starts, seed=self.seed, noise=given, init_norm=1.0,
                      substeps=self.substeps)  # fmt: skip
        return run.replace(constraint=self.constraint, noise="none" if self.noise == "none" else run.noise)


@dataclass(frozen=True, kw_only=True)
class Course:
    """All starts at one effective learning rate.

    Attributes
    ----------
    effective_lr : float
        Total: of all weights together, at length 1.
    iterations : ndarray, shape (time,)
        At which it was sampled.
    loss : ndarray, shape (path, time)
    weight_norm, signal, angle_step : ndarray, shape (path, time, column)
        Length, squared mean gradient at unit length and angle of a step for every group and, with several, all.
    mean_loss : ndarray, shape (path,)
        Time mean over the last half; of every iterate where the toy's own loop ran.
    mean_growth : ndarray, shape (path, group), or None
        Time mean of ln(1 + s_i^2) over all iterates of the last half, where the toy's own loop ran.
    configuration : dict
        What decided the numbers.
    """

    effective_lr: float
    iterations: Array
    loss: Array
    weight_norm: Array
    signal: Array
    angle_step: Array
    mean_loss: Array
    mean_growth: Array | None
    configuration: dict[str, Any]

    @property
    def groups(self) -> int:
        """Scale-invariant groups."""
        return max(1, self.weight_norm.shape[2] - 1)

    @property
    def late(self) -> Array:
        """Which samples are in the last half."""
        return self.iterations > (self.iterations[0] + self.iterations[-1]) / 2

    @property
    def gradient_norm(self) -> Array:
        """Effective gradient norm: length of the mean gradient at unit length, shape (path, time)."""
        return np.sqrt(self.signal[:, :, -1])

    @property
    def angle(self) -> Array:
        """Angle of a step of all weights, shape (path, time)."""
        return self.angle_step[:, :, -1]

    @property
    def individual_lr(self) -> Array:
        """Effective learning rate of each group, shape (path, time, group)."""
        return self.effective_lr / self.weight_norm[:, :, : self.groups] ** 2

    def record(self) -> xr.Dataset:
        """The course in the schema of every record; an epoch is the time between two samples."""
        from sde_si.provenance import provenance
        from sde_si.record import make

        steps = np.diff(self.iterations, append=2 * self.iterations[-1] - self.iterations[-2])
        variables = {
            "loss": self.loss, "weight_norm": self.weight_norm, "signal": self.signal, "angle_step": self.angle_step,
            "effective_lr": self.effective_lr / self.weight_norm**2,
            "lr": np.full(steps.size, self.effective_lr), "steps_per_epoch": steps.astype(np.int32),
        }  # fmt: skip
        attributes = {"source": "sphere", "configuration": self.configuration, "provenance": provenance()}
        return make(variables, groups=self.groups, attributes=attributes)


def courses(setting: Setting, effective_lrs: Sequence[float], progress: Progress | None = None) -> list[Course]:
    """Run all starts at each effective learning rate, from the same starts and under the same random numbers.

    Parameters
    ----------
    setting : Setting
    effective_lrs : sequence of float
    progress : callable, optional
        Called with iterations done, summed over starts.

    Raises
    ------
    BadInput
        If an effective learning rate is no positive number, or the courses do not fit into memory.
    """
    require(len(effective_lrs) > 0, "effective_lr", "at least one", "none", "0.03:30:25")
    for rate in effective_lrs:
        check_number("effective_lr", rate, least=SMALLEST, below=1 / SMALLEST, advice="0.03:30:25")
    rates = [float(rate) for rate in effective_lrs]
    values = 40.0 * (setting.groups + 1) * 2 * SAMPLES * setting.starts * len(rates)
    check_memory("starts", values, f"{setting.starts} starts at {len(rates)} rates", "fewer")
    if setting.fast:
        # squares grow by (eta sum(alpha))^2 a step, and are rescaled every sixteenth
        most = LARGEST / sum(setting.problem.parameters["alphas"])
        expected = f"at most {most:.3g} with these alphas"
        require(max(rates) <= most, "effective_lr", expected, max(rates), "0.03:30:25")
        return _toy(setting, rates, progress)
    from sde_si.simulate.session import Session

    def job(rate: float) -> Course:
        run = setting.run(rate)
        session = Session(run, threads=threads, progress=progress)
        session.advance()
        return _course(run, rate, session.results)

    workers = setting.threads or usable_cores()
    threads = 1 if len(rates) >= workers else workers
    with ThreadPoolExecutor(workers if threads == 1 else 1) as pool:
        return list(pool.map(job, rates))


def _course(run: Run, rate: float, results: dict[str, Array]) -> Course:
    iterations = run.timetable.start[1:].astype(np.int64)
    loss = results["loss"]
    late = iterations > (iterations[0] + iterations[-1]) / 2
    return Course(
        effective_lr=rate, iterations=iterations, loss=loss, weight_norm=results["weight_norm"],
        signal=results["signal"], angle_step=results["angle_step"],
        mean_loss=loss[:, late].mean(axis=1) if late.any() else loss[:, -1], mean_growth=None,
        configuration=run.configuration(),
    )  # fmt: skip


def _toy(setting: Setting, rates: list[float], progress: Progress | None) -> list[Course]:
    alphas, starts = np.array(setting.problem.parameters["alphas"]), setting.starts
    squares = random_squares(alphas.size, starts, generator(setting.seed, START, 0))
    eta = np.repeat(rates, starts)
    pairs = Pairs(np.tile(squares, (1, 1, len(rates))), eta, alphas, setting.threads)
    # every iterate at the beginning, where the logarithm of time is coarse
    iterations = np.arange(min(EVERY, setting.iterations))
    iterations = np.concatenate([iterations, np.arange(EVERY, setting.iterations, setting.stride)])
    samples, half = iterations.size, int(np.searchsorted(iterations, setting.iterations / 2))
    strides = np.diff(iterations, append=iterations[-1] + setting.stride)
    columns = alphas.size + (alphas.size > 1)
    loss = np.empty((eta.size, samples))
    norm, signal, angle = (np.empty((eta.size, samples, columns)) for _ in range(3))
    for i, steps in enumerate(strides):
        if i == half:
            pairs.forget()
        loss[:, i] = pairs.loss
        shares, step = pairs.shares, pairs.effective_steps
        norm[:, i, : alphas.size] = np.sqrt(shares).T
        signal[:, i, : alphas.size] = ((step * shares / eta) ** 2).T
        angle[:, i, : alphas.size] = np.arctan(step).T
        norm[:, i, -1], signal[:, i, -1] = np.sqrt(shares.sum(axis=0)), pairs.gradient_norm**2
        angle[:, i, -1] = pairs.angle
        pairs.advance(int(steps))
        if progress:
            progress(float(steps * eta.size))
    out = []
    for k, rate in enumerate(rates):
        one = slice(k * starts, (k + 1) * starts)
        made = {"loss": "groups", "alphas": alphas.tolist(), "lr": rate, "constraint": "total", "method": "sgd",
                "noise": "none", "starts": starts, "seed": setting.seed, "iterations": setting.iterations}  # fmt: skip
        out.append(
            Course(effective_lr=rate, iterations=iterations + 1, loss=loss[one], weight_norm=norm[one],
                   signal=signal[one], angle_step=angle[one], mean_loss=pairs.mean_loss[one],
                   mean_growth=pairs.mean_growth.T[one], configuration=made)
        )  # fmt: skip
    return out
