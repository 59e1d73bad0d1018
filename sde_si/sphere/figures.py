"""Figures of a sweep: six panels, each a function of (axis, sweep). To add one, write it and name it in `PANELS`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si import regimes
from sde_si.sphere import laws
from sde_si.sphere.course import Course, courses
from sde_si.sphere.survey import Point, Survey
from sde_si.style import save, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 9  # effective LRs of which curves are drawn
COLORS = {
    regimes.CONVERGENCE: "#0072B2", regimes.EQUILIBRIUM: "#E69F00", regimes.DIVERGENCE: "#D55E00",
    regimes.UNDECIDED: "0.6",
}  # fmt: skip
NAMES = {name: name.replace(" ", "\n") for name in regimes.REGIMES} | {regimes.UNDECIDED: "?"}


def _floor(found: Survey) -> float:
    """What is taken from the loss on logarithmic axes: its lowest possible value, where it is known."""
    known = laws.lowest_loss(found.setting)
    return 0.0 if known is None else known


def _some(found: Survey) -> list[Point]:
    picks = np.unique(np.linspace(0, len(found.points) - 1, min(SHOWN, len(found.points))).round().astype(int))
    return [found.points[i] for i in picks]


def _color(found: Survey, rate: float) -> Any:
    from matplotlib import colormaps

    logs = np.log([found.points[0].effective_lr, found.points[-1].effective_lr])
    where = (np.log(rate) - logs[0]) / (logs[1] - logs[0]) if logs[1] > logs[0] else 0.5
    return colormaps["viridis"](0.95 * where)


def _geometric(values: np.ndarray) -> np.ndarray:
    """Geometric mean over starts, nothing below what can be drawn."""
    return np.exp(np.log(np.maximum(values, 1e-18)).mean(axis=0))


def loss_over_time(axis: Axes, found: Survey) -> None:
    """Loss against iterations, coloured by effective LR."""
    floor = _floor(found)
    for point in _some(found):
        course = point.course
        axis.loglog(course.iterations, _geometric(course.loss - floor), color=_color(found, point.effective_lr), lw=1.1,
                    label=f"{point.effective_lr:.2g}")  # fmt: skip
    axis.set(xlabel="iteration", ylabel=_loss_label(found), ylim=(1e-12, None), title="loss over time")
    axis.legend(title="effective LR", ncols=2, fontsize=6, title_fontsize=7, loc="center right")


def _loss_label(found: Survey) -> str:
    return "loss, geometric mean" if _floor(found) == 0 else "loss above its minimum, geometric mean"


def phase(axis: Axes, found: Survey) -> None:
    """Phase diagram: loss against effective gradient norm, from the first sample (star) on."""
    floor = _floor(found)
    for point in _some(found):
        course, color = point.course, _color(found, point.effective_lr)
        x, y = _geometric(course.gradient_norm), _geometric(course.loss - floor)
        keep = (y > 1e-12) & (x > 1e-12)
        axis.loglog(x[keep], y[keep], ".", ms=2, color=color)
        axis.loglog(x[:1], y[:1], "*", ms=9, color=color, mec="k", mew=0.4, zorder=4)
    axis.set(xlabel="effective gradient norm", ylabel=_loss_label(found), title="phase diagram, * = first sample")


def level(axis: Axes, found: Survey) -> None:
    """Time-mean loss against effective LR, with the predicted levels, the three regimes shaded and named."""
    rates = np.array([p.effective_lr for p in found.points])
    _shade(axis, found, rates)
    means, errors = (np.array([getattr(p, k) for p in found.points]) for k in ("loss_mean", "loss_stderr"))
    axis.errorbar(rates, means, errors, fmt="o", color="k", ms=3.5, label="measured", zorder=4)
    fine = np.geomspace(rates[0], rates[-1], 400)
    _predicted_levels(axis, found, fine)
    random = laws.random_loss(found.setting)
    if random is not None:
        axis.axhline(random, color="C1", ls="--", label="random directions")
    if found.threshold_predicted is not None and rates[0] < found.threshold_predicted < rates[-1]:
        axis.axvline(found.threshold_predicted, color="0.3", ls=":", label="predicted threshold")
    axis.set(xscale="log", xlabel="total effective LR", ylabel="time-mean loss", title="three regimes")
    low, high = (f(f(means), random if random is not None else means[0]) for f in (min, max))
    size = high - low or 1.0
    axis.set_ylim(low - 0.04 * size, high + 0.22 * size)
    axis.margins(x=0)
    axis.legend(loc="lower right", fontsize=6.5, frameon=True, framealpha=0.9)


def _predicted_levels(axis: Axes, found: Survey, rates: np.ndarray) -> None:
    """The predicted mean loss: a line where it is exact, dashes where it holds only approximately."""
    values = np.array([np.nan if v is None else v for v in (laws.mean_loss(found.setting, r) for r in rates)])
    rough = np.array([bool(laws.approximation(found.setting, r)) for r in rates])
    name = _law_name(found)
    for which, style, label in ((~rough, "-", name), (rough, (0, (3, 1.5)), "the same, approximate")):
        # the first rough value joins the two
        shown = which | np.append(which[1:], False) if style != "-" else which
        if np.isfinite(values[which]).any():
            axis.plot(rates, np.where(shown, values, np.nan), color="C0", ls=style, label=label)


def _law_name(found: Survey) -> str:
    alphas = found.setting.problem.parameters.get("alphas")
    return "two-cycle (Σα - 1/η)/2" if alphas and found.setting.constraint == "total" else "exact law"


def _shade(axis: Axes, found: Survey, rates: np.ndarray) -> None:
    """A band for each run of points in one regime, with its name above."""
    names = [p.regime.name for p in found.points]
    edges = np.concatenate([rates[:1], np.sqrt(rates[1:] * rates[:-1]), rates[-1:]])
    begin = 0
    for i in range(1, len(names) + 1):
        if i < len(names) and names[i] == names[begin]:
            continue
        axis.axvspan(edges[begin], edges[i], color=COLORS[names[begin]], alpha=0.16, lw=0)
        share = np.log(edges[i] / edges[begin]) / np.log(rates[-1] / rates[0]) if rates[-1] > rates[0] else 1.0
        if share > 0.12:
            name, middle = names[begin], np.sqrt(edges[begin] * edges[i])
            axis.text(middle, 0.985, NAMES[name], transform=axis.get_xaxis_transform(), ha="center", va="top",
                      fontsize=7 if share > 0.2 else 5.5, weight="bold", color=COLORS[name])  # fmt: skip
        begin = i


# lines between samples that jump by decades would cover everything
_INDIVIDUAL: dict[str, dict[str, Any]] = {
    regimes.CONVERGENCE: {"ls": "--", "lw": 0.9}, regimes.EQUILIBRIUM: {"ls": "-", "lw": 0.9},
    regimes.DIVERGENCE: {"ls": "", "marker": ".", "ms": 1.5},
}  # fmt: skip


def individual(axis: Axes, found: Survey) -> None:
    """Individual effective LRs of one start over time, at the smallest effective LR of each regime."""
    shown: dict[str, Course] = {}
    for point in found.points:
        shown.setdefault(point.regime.name, point.course)
    alphas = found.setting.problem.parameters.get("alphas")
    for name, course in [x for x in shown.items() if x[0] in _INDIVIDUAL]:
        rates = course.individual_lr[0]
        for g in range(course.groups):
            label = f"η={course.effective_lr:.2g}: {name}" if g == 0 else None
            axis.loglog(course.iterations, rates[:, g], color=f"C{g}", label=label, **_INDIVIDUAL[name])
    for g, alpha in enumerate(alphas or ()):
        axis.axhline(1 / alpha, color=f"C{g}", lw=2.5, alpha=0.3, label="thresholds 1/α" if g == 0 else None)
    least = min(float(p.course.individual_lr.min()) for p in found.points)
    axis.set(xlabel="iteration", ylabel="individual effective LR", title="individual effective LRs, one start",
             ylim=(0.7 * least, 3e4 * least))  # fmt: skip
    axis.legend(fontsize=6, frameon=True, framealpha=0.85, loc="upper left")


def angles(axis: Axes, found: Survey) -> None:
    """Angle between consecutive directions over time."""
    for point in _some(found):
        rms = np.degrees(np.sqrt((point.course.angle**2).mean(axis=0)))
        axis.loglog(point.course.iterations, np.maximum(rms, 1e-9), color=_color(found, point.effective_lr), lw=1.1)
    axis.set(
        xlabel="iteration",
        ylabel="angle of a step [deg]",
        ylim=(1e-6, 150),
        title="angle between consecutive directions, rms",
    )


def bifurcation(axis: Axes, found: Survey) -> None:
    """Late losses of one start against effective LR: points, bands or clouds."""
    setting, rates = found.setting, np.array([p.effective_lr for p in found.points])
    late = [p.course for p in found.points]
    if setting.fast:
        low = rates[0] if found.threshold_measured is None else max(rates[0], 0.8 * found.threshold_measured)
        once = dataclasses.replace(setting, starts=1, iterations=max(4000, setting.iterations // 2))
        late = courses(once, np.geomspace(low, rates[-1], 500).tolist())
    for course in late:
        values = course.loss[0, -60:]
        axis.plot(np.full(values.size, course.effective_lr), values, ",", color="k", alpha=0.6)
    axis.set(xscale="log", xlabel="total effective LR", ylabel="late losses, one start", title="bifurcation diagram")


PANELS: dict[str, Callable[[Any, Survey], None]] = {
    "loss": loss_over_time, "phase": phase, "level": level, "individual": individual, "angle": angles,
    "bifurcation": bifurcation,
}  # fmt: skip


def panels_of(found: Survey) -> tuple[str, ...]:
    """All panels that have something to show."""
    return tuple(name for name in PANELS if name != "individual" or found.setting.groups > 1)


def draw(found: Survey, panels: Sequence[str] | None = None) -> Figure:
    """Draw panels of a sweep, three to a row.

    Parameters
    ----------
    found : Sweep
    panels : sequence of str, optional
        Names in `PANELS`; by default all that have something to show.
    """
    from matplotlib.figure import Figure

    panels = panels_of(found) if panels is None else panels
    with styled():
        rows = -(-len(panels) // 3)
        figure = Figure(figsize=(3.9 * min(3, len(panels)), 3.4 * rows), layout="constrained")
        axes = np.atleast_1d(figure.subplots(rows, min(3, len(panels)))).ravel()
        for axis, name in zip(axes, panels, strict=False):
            PANELS[name](axis, found)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
    return figure


def save_figure(found: Survey, folder: Path, panels: Sequence[str] | None = None) -> Path:
    """Draw and save panels (see `draw`); the name follows from what decided the numbers.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses.
    """
    panels = panels_of(found) if panels is None else panels
    made = [p.course.configuration for p in found.points]
    digest = hashlib.sha256(json.dumps([made, list(panels)], sort_keys=True).encode()).hexdigest()
    return save(lambda: draw(found, panels), folder / f"sphere-{digest[:12]}.png")
