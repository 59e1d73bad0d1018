"""Courses at fixed effective learning rates: what every start of a sweep did, sampled over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.errors import require
from sde_si.hyperparameters import SMALLEST, check_number
from sde_si.machine import check_memory, usable_cores
from sde_si.record import configuration
from sde_si.run import Run
from sde_si.sphere.setting import SAMPLES, Setting
from sde_si.sphere.toy import Pairs, random_squares
from sde_si.streams import START, generator

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
LARGEST = 1e9  # effective LR of the toy, times the sum of its alphas
EVERY = 64  # first iterations of the toy, each of them a sample
Progress = Callable[[float], None]


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
            "effective_lr": self.effective_lr / self.weight_norm**2, "loss_mean": self.mean_loss,
            "lr": np.full(steps.size, self.effective_lr), "steps_per_epoch": steps.astype(np.int32),
        }  # fmt: skip
        if self.mean_growth is not None:
            unknown = np.full((len(self.mean_growth), self.weight_norm.shape[2] - self.groups), np.nan)
            variables["growth_mean"] = np.hstack([self.mean_growth, unknown])  # none of all weights together
        attributes = {
            "source": "sphere", "method": self.configuration["method"], "configuration": self.configuration,
            "first_iteration": int(self.iterations[0]), "total_effective_lr": self.effective_lr,
            "provenance": provenance(),
        }  # fmt: skip
        return make(variables, groups=self.groups, attributes=attributes)

    @classmethod
    def from_record(cls, record: xr.Dataset) -> Course:
        """Undo `record`."""
        first, steps = int(record.attrs["first_iteration"]), record["steps_per_epoch"].values.astype(np.int64)
        growth = (
            record["growth_mean"].values[:, : max(1, record.sizes["group"] - 1)] if "growth_mean" in record else None
        )
        return cls(
            effective_lr=float(record.attrs["total_effective_lr"]),
            iterations=first + np.concatenate([[0], np.cumsum(steps[:-1])]),
            mean_loss=record["loss_mean"].values, mean_growth=growth, configuration=configuration(record),
            **{name: record[name].values for name in ("loss", "weight_norm", "signal", "angle_step")},
        )  # fmt: skip


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
        require(most >= SMALLEST, "alphas", f"a sum below {LARGEST / SMALLEST:.0e}", f"{LARGEST / most:.3g}", "1,2,4")
        advice = f"{most / 1e3:.1g} or smaller alphas"
        require(max(rates) <= most, "effective_lr", expected, max(rates), advice)
        return _toy(setting, rates, progress)
    from sde_si.simulate import cost
    from sde_si.simulate.session import Session

    what = f"{setting.starts} starts of {setting.run(1.0).arrays.dim} weights"
    room = cost.memory(setting.run(1.0), setting.threads or usable_cores())
    check_memory("starts", room, what, "fewer starts or a smaller --dim")

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
        out.append(
            Course(effective_lr=rate, iterations=iterations + 1, loss=loss[one], weight_norm=norm[one],
                   signal=signal[one], angle_step=angle[one], mean_loss=pairs.mean_loss[one],
                   mean_growth=pairs.mean_growth.T[one], configuration=toy_configuration(setting, rate))
        )  # fmt: skip
    return out


def toy_configuration(setting: Setting, rate: float) -> dict[str, Any]:
    """What decides the numbers of the toy's own loop."""
    alphas = [float(alpha) for alpha in setting.problem.parameters["alphas"]]
    return {"loss": "groups", "alphas": alphas, "lr": rate, "constraint": "total", "method": "sgd", "noise": "none",
            "starts": setting.starts, "seed": setting.seed, "iterations": setting.iterations}  # fmt: skip
