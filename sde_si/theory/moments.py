"""Second moments of any method without a mean gradient, step by step through any schedule (theory.md 9.2, 9.7, 9.10).

z = (x, memory) obeys z' = T z + e zeta with tangential noise zeta, E|zeta|^2 = tau/|x|^2, so with a self-averaging
norm Z = E z z' obeys Z' = T Z T' + K tau/Z_00 and the covariance with an earlier weight P' = T P.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sde_si.errors import require
from sde_si.jit import jitted
from sde_si.methods.integrators import flow
from sde_si.quantities import BALANCE
from sde_si.run import Run
from sde_si.theory.linear import balanced, stationary, step_square
from sde_si.theory.sde import sde_relaxation_steps

Array = np.ndarray
# How |x|^2 inside the noise is taken over a substep: as it was (a discrete map), as the mean of before and after
# (a flow), or by the closed form of |x|^4 (the first-order SDE).
MAP, FLOW, QUARTIC = 0, 1, 2


@jitted
def march(Z, T, K, which, tau, substeps, mode, references, outputs):
    """Carry Z (2, 2) over the steps ``which``; see `Predicted` for `outputs` (step, 3).

    `references` (r, 3) are covariances P, W with an earlier weight and its squared norm; they are carried along.
    Columns of outputs: |x|^2 after the step, angle of the step, cosine with reference 0 after the step.
    """
    for k in range(which.size):
        t, noise, trace = T[which[k]], K[which[k]], tau[k]
        before = Z[0, 0]
        p, w = Z[0, 0], Z[0, 1]
        for _ in range(substeps):
            a, c, d = Z[0, 0], Z[0, 1], Z[1, 1]
            xx = t[0, 0] * t[0, 0] * a + 2 * t[0, 0] * t[0, 1] * c + t[0, 1] * t[0, 1] * d
            xv = t[0, 0] * t[1, 0] * a + (t[0, 0] * t[1, 1] + t[0, 1] * t[1, 0]) * c + t[0, 1] * t[1, 1] * d
            vv = t[1, 0] * t[1, 0] * a + 2 * t[1, 0] * t[1, 1] * c + t[1, 1] * t[1, 1] * d
            if mode == QUARTIC:
                Z[0, 0] = np.sqrt(xx * xx + noise[0, 0] * (1 + t[0, 0] * t[0, 0]) * trace)
            else:
                inverse = trace / a
                if mode == FLOW:
                    for _ in range(3):
                        inverse = 0.5 * trace * (1 / a + 1 / (xx + noise[0, 0] * inverse))
                Z[0, 0] = xx + noise[0, 0] * inverse
                Z[0, 1] = Z[1, 0] = xv + noise[0, 1] * inverse
                Z[1, 1] = vv + noise[1, 1] * inverse
            p, w = t[0, 0] * p + t[0, 1] * w, t[1, 0] * p + t[1, 1] * w
            for r in range(references.shape[0]):
                old = references[r, 0]
                references[r, 0] = t[0, 0] * old + t[0, 1] * references[r, 1]
                references[r, 1] = t[1, 0] * old + t[1, 1] * references[r, 1]
        outputs[k, 0] = Z[0, 0]
        # 2 atan2 of half-angle chords: exact for small angles
        norm = np.sqrt(before * Z[0, 0])
        outputs[k, 1] = 2 * np.arctan2(np.sqrt(max(norm - p, 0.0)), np.sqrt(max(norm + p, 0.0)))
        outputs[k, 2] = references[0, 0] / np.sqrt(references[0, 2] * Z[0, 0]) if references.shape[0] else np.nan


@dataclass(frozen=True)
class Predicted:
    """Moments at the ends of epochs: each ndarray of shape (epochs,), lags (epochs, lag)."""

    weight_norm: Array
    cos_epoch: Array
    angle_step: Array
    cos_lag: Array


class Closure:
    """The linear theory of one run without a mean gradient.

    Parameters
    ----------
    run : Run
    limit : bool
        The SDE itself, instead of the method with its substep.

    Raises
    ------
    BadInput
        If the method has no linear theory.
    """

    def __init__(self, run: Run, *, limit: bool | None = None) -> None:
        from sde_si.methods import METHODS

        self.run = run
        self.limit = run.method.name == "splitting" if limit is None else limit
        plain = run.hyperparameters.momentum == 0
        method, self.substeps = run.method, run.substeps
        if self.limit:
            # The splitting is exact but for the |x|^2 inside the noise, which FLOW and QUARTIC take care of.
            method, self.substeps = METHODS["splitting"], 1 if plain else 4
        scheme = method.scheme(not plain)
        assert scheme is not None
        require(scheme.linear is not None, "method", "a method with a linear theory", method.name, "sgd")
        assert scheme.linear is not None
        self.linear = scheme.linear
        self.mode = (QUARTIC if plain else FLOW) if self.limit else MAP

    def maps(self, lr: Array, momentum: Array) -> tuple[Array, Array, Array]:
        """The different (T, K) of the steps, and which one each step uses."""
        settings, which = np.unique(np.stack([lr, momentum]), axis=1, return_inverse=True)
        wd, h = self.run.hyperparameters.wd, 1 / self.substeps
        if self.mode == FLOW:  # a schedule has thousands of learning rates: all at once
            return *flow(settings[0], wd, settings[1], h)[:2], which.ravel()
        pairs = [self.linear(float(a), wd, float(m), h) for a, m in settings.T]
        T = np.array([pair[0] for pair in pairs], dtype=float)
        return T, np.array([pair[1] for pair in pairs], dtype=float), which.ravel()

    def trace(self, batch: int) -> float:
        """Noise trace at the unit vector for one batch size."""
        return self.run.arrays.noise_trace / batch

    def equilibrium(self, signal: float = 0.0) -> Array:
        """Stationary Z (2, 2) after the last change; `signal` (G) adds the drift's share of the growth (4.3)."""
        hp = self.run.settled
        unit = stationary(*self.linear(hp.lr, hp.wd, hp.momentum, 1 / self.substeps))
        heat = self.trace(hp.B) + (0.0 if self.limit else signal / self.substeps)
        return unit * math.sqrt(heat / unit[0, 0])

    def relaxation_epochs(self) -> float:
        """Epochs in which a small deviation of the norm falls by e (theory.md 1.4, 2.3, 9.4)."""
        hp = self.run.settled
        if self.limit:
            return sde_relaxation_steps(hp.intrinsic_lr, hp.momentum) / hp.steps_per_epoch
        T, K = self.linear(hp.lr, hp.wd, hp.momentum, 1 / self.substeps)
        unit = stationary(T, K)
        squares = np.kron(T, T)
        # the noise falls as |x|^2 rises: K tau/|x|^2, linearised about its fixed point
        squares[:, 0] -= K.ravel() / unit[0, 0]
        largest = max(abs(np.linalg.eigvals(squares)))
        return -1 / math.log(largest) / self.substeps / hp.steps_per_epoch

    def predict(self) -> Predicted:
        """Through the whole schedule, from the run's start."""
        run, timetable = self.run, self.run.timetable
        epochs = run.hyperparameters.epochs
        Z = np.zeros((2, 2))
        Z[0, 0] = run.start_norm**2
        norm, cos, angle = np.empty(epochs), np.empty(epochs), np.empty(epochs)
        lags = np.full((epochs, len(run.lags)), np.nan)
        open_lags: list[tuple[int, Array]] = []
        for e in range(epochs):
            lr, momentum = timetable.lr_and_momentum(e)
            T, K, which = self.maps(lr, momentum)
            tau = self.trace(int(timetable.batch[e])) * timetable.noise(e)
            open_lags = [
                (r, row) for r, row in open_lags if run.lags and timetable.start[r] + run.lags[-1] > timetable.start[e]
            ]
            open_lags.append((e, np.array([Z[0, 0], Z[0, 1], Z[0, 0]])))
            outputs = np.empty((lr.size, 3))
            carried = np.stack([row for _, row in reversed(open_lags)])
            self._epoch(Z, T, K, which, tau, carried, outputs, lags, [r for r, _ in reversed(open_lags)], e)
            open_lags = [(r, row) for (r, _), row in zip(open_lags, carried[::-1], strict=True)]
            norm[e], cos[e] = math.sqrt(outputs[-1, 0]), outputs[-1, 2]
            angle[e] = math.sqrt(np.mean(outputs[:, 1] ** 2))
        return Predicted(norm, cos, angle, lags)

    def _epoch(
        self, Z: Array, T: Array, K: Array, which: Array, tau: Array, carried: Array, outputs: Array, lags: Array,
        references: Sequence[int], e: int,
    ) -> None:  # fmt: skip
        """One epoch, cut wherever a lag after an earlier epoch's start is reached."""
        start, wanted = self.run.timetable.start, self.run.lags
        cuts: dict[int, list[tuple[int, int, int]]] = {which.size: []}
        for row, r in enumerate(references):
            for i, lag in enumerate(wanted):
                inside = int(start[r] + lag - start[e])
                if 0 < inside <= which.size:
                    cuts.setdefault(inside, []).append((row, r, i))
        low = 0
        for high in sorted(cuts):
            part = slice(low, high)
            march(Z, T, K, which[part], tau[part], self.substeps, self.mode, carried, outputs[part])
            for row, r, i in cuts[high]:
                lags[r, i] = carried[row, 0] / math.sqrt(carried[row, 2] * Z[0, 0])
            low = high


def displacement_ratio(run: Run) -> float:
    """E|x' - x|^2/E|x|^2 of one substep at norm equilibrium; nan where the gradients decide it.

    2u for SGD, 2u/(1+mu) for SGDM, about u h for the second-order SDE (theory.md 4.7, 9.2, 9.7). For these it needs
    only <x, g> = 0 and a stationary norm, so it tells equilibrium from measured numbers alone, whatever the loss. nan
    for a method without a linear theory: there <x, g> = 0 says nothing of the weights' product with the displacement;
    and on a loss with a mean gradient for a method that is not `balanced`, as with Nesterov momentum, or, of an
    integrator with momentum, for long substeps.
    """
    hp, h = run.settled, 1 / run.substeps
    if run.method.name == "splitting" and hp.momentum == 0:
        return -2 * math.expm1(-hp.intrinsic_lr * h)  # constant norm, E cos = exp(-uh)
    if run.scheme.linear is None:
        return math.nan
    T, K = run.scheme.linear(hp.lr, hp.wd, hp.momentum, h)
    if not run.problem.loss.flat and not _balanced(run, T, K):
        return math.nan
    return step_square(T, K)


def _balanced(run: Run, T: Array, K: Array) -> bool:
    """Whether a mean gradient leaves the ratio where it is, to half of what equilibrium is judged by."""
    if run.scheme.where is not None:
        # What vanishes is <x + h v/2, g>: a lasting gradient raises the ratio by (1-mu) h/3 to first order in h.
        return (1 - run.settled.momentum) / (3 * run.substeps) < BALANCE / 2
    sizes, ways = np.linalg.eigh(K)  # the gradient's way in is that of its noise, which has one draw
    return sizes[0] <= 1e-9 * sizes[-1] and balanced(T, ways[:, -1] * math.sqrt(sizes[-1]))
