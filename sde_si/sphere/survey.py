"""`sweep`: training on the sphere at many fixed effective learning rates, each with its regime."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sde_si import regimes
from sde_si.estimators import mean_and_error
from sde_si.machine import usable_cores
from sde_si.problem import Problem
from sde_si.sphere import laws
from sde_si.sphere.course import Course, Progress, courses
from sde_si.sphere.lyapunov import Spectrum, lyapunov
from sde_si.sphere.records import obtain
from sde_si.sphere.setting import Setting
from sde_si.sphere.threshold import SIZE, TOLERANCE, Bracket, Line, bisect, doubt, effort, line

EXPONENTS = 10_000
GRID = tuple(float(v) for v in np.geomspace(0.03, 30, 25))


@dataclass(frozen=True, kw_only=True)
class Point:
    """One effective learning rate of a sweep.

    Attributes
    ----------
    effective_lr : float
        Total.
    regime : Regime
    loss_final, loss_mean, loss_stderr : float
        Mean over starts at the end; mean over starts and the last half of the time, with the error between starts.
    loss_predicted : float or None
    loss_predicted_note : str
        In what sense the prediction is approximate; empty where it is exact.
    gradient_norm, angle : float
        Root mean squares over starts and the last half: effective gradient norm, angle of a step in radians.
    individual_lr : tuple of three ndarrays, shape (group,)
        Least, harmonic mean and largest effective learning rate of each group over starts and the last half.
    exceeded : float or None
        Share of the samples at which some group's is above its own threshold 1/alpha_i.
    harmonic_sum_error : float
        Largest |eta sum 1/eta_i - 1| over all samples (theory.md 5.2).
    lyapunov : Spectrum or None
        Exponents where the toy's own loop ran and did not converge.
    course : Course
    """

    effective_lr: float
    regime: regimes.Regime
    loss_final: float
    loss_mean: float
    loss_stderr: float
    loss_predicted: float | None
    loss_predicted_note: str
    gradient_norm: float
    angle: float
    individual_lr: tuple[np.ndarray, np.ndarray, np.ndarray]
    exceeded: float | None
    harmonic_sum_error: float
    lyapunov: Spectrum | None
    course: Course


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A sweep of effective learning rates and, where it was asked for, its threshold.

    Attributes
    ----------
    setting : Setting
    points : tuple of Point
        In the order of their effective learning rates.
    threshold_predicted : float or None
    threshold_source : str
        Where the prediction stands.
    bracket : Bracket or None
        The threshold by bisection.
    line : Line or None
        The threshold as the zero of the mean loss.
    threshold_why : str
        Why it was not measured, or not as precisely as was asked for; else empty.
    """

    setting: Setting
    points: tuple[Point, ...]
    threshold_predicted: float | None
    threshold_source: str
    bracket: Bracket | None
    line: Line | None
    threshold_why: str = ""

    @property
    def threshold_measured(self) -> float | None:
        """By the line where there is one, else by bisection; None if they disagree."""
        if self.disagree:
            return None
        found = self.line or self.bracket
        return found.value if found else None

    @property
    def threshold_stderr(self) -> float | None:
        """Standard error of the line's zero, or half of the bracket."""
        if self.disagree:
            return None
        return self.line.stderr if self.line else self.bracket.half_width if self.bracket else None

    @property
    def disagree(self) -> str:
        """Why the two measurements do not agree, or empty."""
        return doubt(self.bracket, self.line) if self.bracket and self.line else ""


def sweep(
    problem: Problem | None = None,
    effective_lr: Sequence[float] | float = GRID,
    *,
    threshold: bool = True,
    exponents: bool = True,
    out: Path | str | None = None,
    fresh: bool = False,
    quiet: bool = True,
    progress: Progress | None = None,
    **setting: Any,
) -> Survey:
    """Train on the sphere at fixed effective learning rates and tell the regime of each.

    Parameters
    ----------
    problem : Problem, optional
        By default Kodryan et al.'s pairs with alphas 1, 2, 4.
    effective_lr : sequence of float, or float
        Total effective learning rates.
    threshold : bool
        Measure the threshold of convergence, too, if the gradient has no noise.
    exponents : bool
        Measure Lyapunov exponents, too, where the toy's own loop runs.
    out : Path or str, optional
        Folder in which each effective learning rate has a record; one that is there is loaded.
    fresh, quiet : bool
        Compute again what is there; do not say on stderr what was loaded.
    progress : callable, optional
        Called with iterations done, summed over starts.
    **setting
        Fields of `sde_si.sphere.Setting`: constraint, method, noise, B, N, substeps, starts, iterations, seed, threads.

    Returns
    -------
    Survey

    Raises
    ------
    BadInput
        If an argument is wrong; before any work.

    Examples
    --------
    >>> found = sweep(effective_lr=(0.1, 0.2), starts=4, iterations=2000, threshold=False)
    >>> [point.regime.name for point in found.points]
    ['convergence', 'chaotic equilibrium']
    """
    chosen = Setting(problem=problem or Problem("groups"), **setting)
    rates = sorted({float(rate) for rate in np.atleast_1d(regimes.numbers("effective_lr", effective_lr)).ravel()})
    folder = None if out is None else Path(out)
    done = (
        courses(chosen, rates, progress)
        if folder is None
        else obtain(chosen, rates, folder, fresh=fresh, quiet=quiet, progress=progress)
    )
    with ThreadPoolExecutor(chosen.threads or usable_cores()) as pool:
        points = tuple(pool.map(lambda one: _point(chosen, one, exponents), done))
    known = laws.threshold(chosen)
    bracket, zero, why = None, None, ""
    if threshold and chosen.noise == "none" and chosen.method == "sgd":
        tolerance, longest = effort(chosen)
        try:
            bracket = bisect(chosen, rates[len(rates) // 2], tolerance=tolerance, longest=longest, progress=progress)
        except ArithmeticError as error:
            why = str(error)
        if bracket and bracket.capped:
            why = "the bracket is as wide as it is because the longest runs in it tell nothing"
        elif bracket and tolerance > TOLERANCE:
            wide = (bracket.fails - bracket.converges) / bracket.value
            why = (
                f"the bracket is {wide:.1g} of the threshold wide, not {TOLERANCE:g}: with so many starts times "
                f"dimensions (more than {SIZE}) longer runs would take minutes"
            )
        if bracket and chosen.fast:
            zero = line(chosen, bracket.fails if bracket.capped else bracket.value, progress=progress)
            why = doubt(bracket, zero) or why
    predicted, source = known or (None, "")
    return Survey(
        setting=chosen,
        points=points,
        threshold_predicted=predicted,
        threshold_source=source,
        bracket=bracket,
        line=zero,
        threshold_why=why,
    )


def _point(setting: Setting, course: Course, exponents: bool) -> Point:
    late = course.late
    regime = laws.regime(setting, course)
    mean = mean_and_error(course.mean_loss)
    individual = course.individual_lr
    exceeded = laws.exceeds(setting, individual)
    shown = individual[:, late].reshape(-1, course.groups)
    return Point(
        effective_lr=course.effective_lr,
        regime=regime,
        loss_final=float(course.loss[:, -1].mean()),
        loss_mean=mean.value,
        loss_stderr=mean.stderr,
        loss_predicted=laws.mean_loss(setting, course.effective_lr),
        loss_predicted_note=laws.approximation(setting, course.effective_lr),
        gradient_norm=float(np.sqrt(course.signal[:, late, -1].mean())),
        angle=float(np.sqrt(np.mean(course.angle[:, late] ** 2))),
        individual_lr=(shown.min(axis=0), 1 / (1 / shown).mean(axis=0), shown.max(axis=0)),
        exceeded=None if exceeded is None else float(exceeded.mean()),
        harmonic_sum_error=float(np.abs(course.effective_lr * (1 / individual).sum(axis=2) - 1).max()),
        lyapunov=_spectrum(setting, course) if regime.name != regimes.CONVERGENCE and exponents else None,
        course=course,
    )


def _spectrum(setting: Setting, course: Course) -> Spectrum | None:
    """Lyapunov exponents from as many starts, at most `EXPONENTS` iterations each after as many of approach."""
    if not setting.fast:
        return None
    steps = min(EXPONENTS, setting.iterations)
    alphas = np.array(setting.problem.parameters["alphas"])
    return lyapunov(
        alphas, course.effective_lr, starts=setting.starts, approach=steps, iterations=steps, seed=setting.seed
    )
