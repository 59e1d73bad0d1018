"""What a learning-rate range test shows: smoothed loss, a suggestion with its evidence or none, and the rotation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.comparison import finite, number
from sde_si.errors import require_known
from sde_si.hyperparameters import SMALLEST, check_count, check_number
from sde_si.tune.ramp_noise import clear, clearest, noise_of

if TYPE_CHECKING:
    from rich.table import Table

Array = np.ndarray
RAMPS = ("exponential", "linear")
FEWEST = 6  # finite losses
CLEAR = 3.0  # standard errors beyond which a fall has begun
ORDER = 10.0  # the suggestion lies an order of magnitude below the least loss (theory.md 7.3)
BLOW_UP = 4.0  # times its best value: the loss has diverged, and the test ends
ROWS = 14
DEGREES = 180 / math.pi


def learning_rates(start: float, stop: float, steps: int, ramp: str, *, name: str = "steps") -> Array:
    """The ramp; `name` is what the caller calls its number of learning rates.

    Raises
    ------
    BadInput
        If it does not rise.
    """
    check_number("start", start, least=SMALLEST, below=1 / SMALLEST, advice="1e-5")
    check_number("stop", stop, above=start, below=1 / SMALLEST, advice="10")
    check_count(name, steps, least=FEWEST, advice="100")
    require_known("ramp", ramp, RAMPS)
    x = np.arange(steps) / (steps - 1)
    return start * (stop / start) ** x if ramp == "exponential" else start + (stop - start) * x


def smoothed(losses: Array, smoothing: float) -> Array:
    """Exponential running mean, corrected for its start at zero."""
    out, mean = np.empty(losses.size), 0.0
    for i, loss in enumerate(losses):
        mean = smoothing * mean + (1 - smoothing) * loss
        out[i] = mean / (1 - smoothing ** (i + 1))
    return out


@dataclass(frozen=True, kw_only=True)
class LrRange:
    """A learning-rate range test.

    Attributes
    ----------
    lr, loss, smooth : ndarray, shape (steps,)
        Of the steps done; the loss before the step.
    angle_step : ndarray, shape (steps,)
        By which each step turned the watched weights, radians; nan where it was not measured.
    weight_norm : ndarray, shape (steps,)
        Their length before the step.
    suggestion, low, high : float or None
        An order of magnitude below the least smoothed loss; between where the loss has clearly begun to fall (or, if
        that is later, the suggestion) and a third of where it is least. None: no suggestion.
    evidence, because : str
        The measurement; or why there is no suggestion.
    notes : tuple of str
    ramp : str
    smoothing : float
    runs : bool
        Whether each loss is that at the end of a run of its own, not of one step of one run.
    """

    lr: Array
    loss: Array
    smooth: Array
    angle_step: Array
    weight_norm: Array
    suggestion: float | None
    low: float | None
    high: float | None
    evidence: str
    because: str
    ramp: str
    smoothing: float
    notes: tuple[str, ...] = field(default=())
    runs: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; angles in radians."""
        arrays = ("lr", "loss", "smooth", "angle_step", "weight_norm")
        names = ("suggestion", "low", "high", "evidence", "because", "ramp", "smoothing")
        return {
            **{name: getattr(self, name) for name in names},
            "notes": list(self.notes),
            **{name: [finite(v) for v in getattr(self, name)] for name in arrays},
        }

    def to_table(self) -> Table:
        """Some steps of the ramp."""
        from sde_si.tune.show import plain_table

        out = plain_table("lr", ["loss", "smoothed", "angle per step [deg]", "weight norm"])
        for i in np.unique(np.linspace(0, self.lr.size - 1, ROWS).round().astype(int)):
            values = map(float, (self.loss[i], self.smooth[i], self.angle_step[i] * DEGREES, self.weight_norm[i]))
            out.add_row(f"{self.lr[i]:.4g}", *(_short(value) for value in values))
        return out

    def lines(self) -> list[str]:
        """Suggestion and notes."""
        if self.suggestion is None:
            said = f"no suggestion, because {self.because}"
        else:
            said = (
                f"suggestion: lr = {_short(self.suggestion)}, between {_short(self.low)} and {_short(self.high)}; from "
                f"{self.evidence} (theory.md 7.3)"
            )
        return [said, *(f"note: {note}" for note in self.notes)]

    def __rich_console__(self, console: Any, options: Any) -> Any:
        """Table and lines."""
        from rich.markup import escape

        yield self.to_table()
        yield from map(escape, self.lines())

    def figure(self) -> Any:
        """Loss and angle per step against lr (matplotlib Figure)."""
        from sde_si.tune.figures import ramp_figure

        return ramp_figure(self)


def _short(value: float | None) -> str:
    return number(None if value is None or not math.isfinite(value) else float(f"{value:.4g}"))


def read(
    lr: Sequence[float] | Array,
    loss: Sequence[float] | Array,
    *,
    ramp: str,
    smoothing: float,
    angle_step: Sequence[float] | Array | None = None,
    weight_norm: Sequence[float] | Array | None = None,
    error: Array | None = None,
    notes: Sequence[str] = (),
    runs: bool = False,
) -> LrRange:
    """Judge a ramp.

    Parameters
    ----------
    lr, loss : sequence of float
        Of every step done; nan or infinite where the loss was lost.
    ramp : str
    smoothing : float
        Of the running mean, in [0, 1).
    angle_step, weight_norm : sequence of float, optional
    error : ndarray, optional
        Standard error of every loss, of which the mean square counts; by default from differences of neighbours.
    notes : sequence of str
    runs : bool
        Whether each loss is that of a run of its own.
    """
    lr, loss = np.asarray(lr, dtype=float), np.asarray(loss, dtype=float)
    nothing = np.full(lr.size, math.nan)
    good = np.isfinite(loss)
    end = int(np.argmin(good)) if not good.all() else loss.size  # what follows a lost loss says nothing
    smooth = nothing.copy()
    smooth[:end] = smoothed(loss[:end], smoothing)
    found = _judge(lr[:end], loss[:end], smooth[:end], smoothing, error, lost=end < loss.size, runs=runs)
    return LrRange(
        lr=lr, loss=loss, smooth=smooth, ramp=ramp, smoothing=smoothing, notes=tuple(notes), runs=runs,
        angle_step=nothing if angle_step is None else np.asarray(angle_step, dtype=float),
        weight_norm=nothing if weight_norm is None else np.asarray(weight_norm, dtype=float), **found,
    )  # fmt: skip


def _judge(
    lr: Array, loss: Array, smooth: Array, smoothing: float, error: Array | None, *, lost: bool, runs: bool
) -> dict[str, Any]:
    nothing = {"suggestion": None, "low": None, "high": None, "evidence": "", "because": ""}
    if lr.size < FEWEST:
        return nothing | {"because": f"only {lr.size} losses are finite, {FEWEST} are needed: start lower"}
    name, needed = "the loss" if runs else "the smoothed loss", clear(lr.size)
    best, shrunk = int(np.argmin(smooth)), smoothing ** np.arange(1, lr.size + 1)
    # the running mean begins with one loss and has the less noise the more it has seen
    noise = noise_of(loss, error) * np.sqrt((1 - smoothing) / (1 + smoothing) * (1 + shrunk) / (1 - shrunk))
    apart, errors = smooth - smooth[best], np.hypot(noise, noise[best])
    top = clearest(apart[: best + 1], errors[: best + 1])
    fall, size = float(apart[top]), f"± {errors[top]:.1g} (standard error)"
    if fall <= 0 or fall < needed * errors[top]:
        why = f"{name} never falls clearly: by {fall:.3g} {size}, {needed:.2g} of them are needed to tell it from noise"
        more = "longer runs, more seeds" if runs else "more steps, more smoothing"
        return nothing | {"because": f"{why}; use {more} or a lower start"}
    end = best + clearest(apart[best:], errors[best:])
    rise, size = (math.inf, "") if lost else (float(apart[end]), f"± {errors[end]:.1g} (standard error)")
    if rise < needed * errors[end]:
        why = (
            f"the loss is still falling or flat at the largest lr, {lr[-1]:.3g}: it rises by {max(rise, 0):.3g} {size}"
        )
        return nothing | {"because": f"{why}; raise the end of the ramp"}
    before = np.maximum.accumulate(smooth)
    began = int(np.flatnonzero(before - smooth >= min(fall / 10 + CLEAR * noise[-1], fall))[0])
    suggestion, high = float(lr[best] / ORDER), float(lr[best] / 3)
    low = float(min(lr[began], suggestion))
    if why := _unseen(lr, suggestion, low, high):
        more = "points" if runs else "steps"
        return nothing | {"because": f"{why}; use an exponential ramp, a lower start or more {more}"}
    rose, since = "is lost" if lost else f"rises by {rise:.3g}", "from where it has clearly begun to fall"
    if lr[began] > suggestion:
        since = f"from the suggestion itself, as the fall is clear only from lr = {lr[began]:.3g} on,"
    evidence = (
        f"{name} falls by {fall:.3g} ± {errors[top]:.1g} (standard error), is least at lr = {lr[best]:.3g} and {rose} "
        f"above it; the suggestion is a tenth of that lr, the interval {since} to a third"
    )
    return {"suggestion": suggestion, "low": low, "high": high, "evidence": evidence, "because": ""}


def _unseen(lr: Array, suggestion: float, low: float, high: float) -> str:
    """Why nothing is known of the loss about a suggestion; "" if something is.

    A linear ramp leaps from its first learning rate over orders of magnitude: a rule of thumb that lands in the leap
    rests on no measurement.
    """
    least = f"a tenth of the lr with the least loss is {suggestion:.3g}"
    edge = 1.1  # so near to what was tried is no gap
    below, above = lr[lr <= suggestion * edge], lr[lr * edge >= suggestion]
    if below.size and above[0] > ORDER * edge * below[-1]:
        return f"{least}, in a gap of the ramp: nothing was tried between {below[-1]:.3g} and {above[0]:.3g}"
    if not ((lr * edge >= low) & (lr <= high * edge)).any():
        where = f"between {below[-1]:.3g} and {above[0]:.3g}" if below.size else f"below {lr[0]:.3g}"
        return f"{least}, where nothing was tried ({where})"
    return ""
