"""A sweep as a table and as JSON."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from sde_si.comparison import finite, number
from sde_si.sphere import records
from sde_si.sphere.setting import Setting
from sde_si.sphere.survey import Point, Survey

ONE = "one pair has no torus, and its exponent ln|1 - 2/a^2| goes to 0 from below"


def describe(setting: Setting) -> str:
    """The system in words."""
    arrays = setting.run(1.0).arrays
    numbers = {k: v for k, v in setting.problem.parameters.items() if isinstance(v, int | float | tuple)}
    shown = " ".join(f"{k}={','.join(f'{x:g}' for x in np.atleast_1d(v))}" for k, v in numbers.items())
    return (
        f"{setting.problem.loss.name}, dim {arrays.dim}, {shown}; {setting.method}, noise {setting.noise}, "
        f"B={setting.B}, constraint {setting.constraint}; {setting.starts} starts, {setting.iterations} iterations"
    )


def to_json(found: Survey, figure: Path | None = None, out: Path | None = None) -> dict[str, Any]:
    """One object: the threshold, measured and predicted, and the sweep."""
    setting, line, bracket = found.setting, found.line, found.bracket
    parameters = {k: list(v) if isinstance(v, tuple) else v for k, v in setting.problem.parameters.items()}
    return {
        "loss": setting.problem.loss.name,
        "dim": setting.run(1.0).arrays.dim,
        "groups": setting.groups,
        "parameters": {k: v for k, v in parameters.items() if isinstance(v, int | float | list | str)},
        **{
            name: getattr(setting, name)
            for name in ("constraint", "method", "noise", "B", "starts", "iterations", "seed")
        },
        "threshold_predicted": finite(found.threshold_predicted),
        "threshold_measured": finite(found.threshold_measured),
        "threshold_stderr": finite(found.threshold_stderr),
        "threshold_source": found.threshold_source or None,
        "threshold_why": found.threshold_why or None,
        "threshold_bisection": [bracket.converges, bracket.fails] if bracket else None,
        "threshold_line": {
            k: finite(v) for k, v in (("zero", line.value), ("stderr", line.stderr), ("slope", line.slope))
        }
        if line
        else None,
        "sweep": [_point(point) | {"record": _record(found, point, out)} for point in found.points],
        "figure": str(figure) if figure else None,
    }


def _record(found: Survey, point: Point, out: Path | None) -> str | None:
    return str(out / records.name(found.setting, point.effective_lr)) if out else None


def _point(point: Point) -> dict[str, Any]:
    least, mean, most = point.individual_lr
    kinds = point.lyapunov.largest if point.lyapunov else {}
    return {
        "effective_lr": point.effective_lr,
        "regime": point.regime.name,
        "confidence": point.regime.confidence,
        "why": point.regime.why,
        "loss_final": finite(point.loss_final),
        "loss_mean": finite(point.loss_mean),
        "loss_stderr": finite(point.loss_stderr),
        "loss_predicted": finite(point.loss_predicted),
        "loss_predicted_note": point.loss_predicted_note or None,
        "gradient_norm": finite(point.gradient_norm),
        "individual_lr": [finite(v) for v in mean],
        "individual_lr_min": [finite(v) for v in least],
        "individual_lr_max": [finite(v) for v in most],
        "individual_exceeded": point.exceeded,
        "harmonic_sum_error": finite(point.harmonic_sum_error),
        "angle_mean": finite(point.angle),
        "lyapunov": [finite(v) for v in point.lyapunov.exponents] if point.lyapunov else None,
        "lyapunov_stderr": [finite(v) for v in point.lyapunov.stderr] if point.lyapunov else None,
        "motion": {kind: count for kind, (count, _, _) in kinds.items()} or None,
        "motion_why": {why: point.lyapunov.why.count(why) for why in _doubts(point)} if point.lyapunov else None,
        "lyapunov_by_motion": {
            kind: {"starts": count, "exponent": finite(mean), "stderr": finite(error)}
            for kind, (count, mean, error) in kinds.items()
        }
        or None,
    }


def _predicted(point: Point) -> str:
    """The predicted mean loss, with a mark where it is not exact."""
    return ("~" if point.loss_predicted_note else "") + number(point.loss_predicted)


def _individual(point: Point) -> str:
    """Least, harmonic mean and largest over the groups, times and starts."""
    least, mean, most = point.individual_lr
    return f"{least.min():.3g} {1 / (1 / mean).mean():.3g} {most.max():.3g}"


def _doubts(point: Point) -> list[str]:
    """What kept starts' motion undecided."""
    return [why for why in dict.fromkeys(point.lyapunov.why) if why] if point.lyapunov else []


def _motion(point: Point) -> tuple[str, str]:
    """Largest Lyapunov exponent of the starts of the first kind, and the kinds (with numbers of starts, if several)."""
    if point.lyapunov is None:
        return "-", "-"
    kinds = point.lyapunov.largest
    first, (_, top, error) = next(iter(kinds.items()))
    shown = first if len(kinds) == 1 else ",\n".join(f"{kind} {count}" for kind, (count, _, _) in kinds.items())
    return f"{top:.3f} ± {error:.3f}" if error > 0 else f"{top:.3f}", shown


def lines(found: Survey) -> list[str]:
    """What is said below the table."""
    out, bracket, line = [], found.bracket, found.line
    if found.threshold_predicted is not None:
        out.append(f"threshold of convergence, predicted: {found.threshold_predicted:.9g} ({found.threshold_source})")
    if bracket:
        out.append(
            f"threshold by bisection: {bracket.value:.6g} +- {bracket.half_width:.1g} "
            f"(converges at {bracket.converges:.7g}, not at {bracket.fails:.7g}; {bracket.runs} runs)"
        )
    if line and math.isfinite(line.stderr):
        shift = "" if found.threshold_predicted is None else _shift(line.value, line.stderr, found.threshold_predicted)
        out.append(
            f"threshold by the zero of the mean loss against 1/effective LR: {line.value:.10g} +- {line.stderr:.1g}"
            f"{shift}"
        )
    if found.threshold_why:
        said = "threshold:" if found.threshold_measured is not None else "threshold: not measured, because"
        out.append(f"{said} {found.threshold_why}")
    alphas = found.setting.problem.parameters.get("alphas")
    if alphas:
        individual = ", ".join(f"{1 / a:.4g}" for a in alphas)
        out.append(
            f"thresholds of the single groups, 1/alpha: {individual}; >1/alpha: share of samples with one exceeded"
        )
    out.append("individual LRs: least, harmonic mean and largest over groups, starts and the last half of the time")
    for note in dict.fromkeys(p.loss_predicted_note for p in found.points if p.loss_predicted_note):
        rates = [p.effective_lr for p in found.points if p.loss_predicted_note == note]
        where = f"{rates[0]:.4g}" + (f" to {rates[-1]:.4g}" if len(rates) > 1 else "")
        out.append(f"~ predicted mean loss at {where}: {note}")
    if any(p.lyapunov for p in found.points):
        several = found.setting.groups > 1
        neutral = "neutral: 0 within 1e-3 (quasi-periodic)" if several else f"periodic: the orbit of period two; {ONE}"
        out.append(
            "exponent: largest Lyapunov exponent per iteration, mean over the starts of the kind of motion that is "
            f"named first; {neutral}"
        )
        out += [
            f"{p.effective_lr:.4g}: motion of {p.lyapunov.why.count(why)} starts undecided: {why}"
            for p in found.points
            if p.lyapunov
            for why in _doubts(p)
        ]
    worst = max(point.harmonic_sum_error for point in found.points)
    if found.setting.groups > 1:
        out.append(f"sum of 1/individual LR is 1/effective LR to {worst:.0e}")
    out += [f"{p.effective_lr:.4g}: {p.regime.why}" for p in found.points if p.regime.name == "undecided"]
    return out


def _shift(value: float, stderr: float, predicted: float) -> str:
    z = f", {(value - predicted) / stderr:+.1f} s.e." if stderr > 0 else ""
    return f" ({value / predicted - 1:+.1e} of the prediction{z})"


def print_table(found: Survey, figure: Path | None, out: Path | None = None) -> None:
    """The table and what is said below it, on stdout."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("effective LR", justify="right", no_wrap=True)
    table.add_column("regime", no_wrap=True)
    names = ("conf.", "final loss", "mean loss ± s.e.", "predicted", "gradient", "angle [deg]", "individual LRs",
             ">1/alpha", *(["exponent", "motion"] if any(p.lyapunov for p in found.points) else []))  # fmt: skip
    for name in names:
        whole = name in ("mean loss ± s.e.", "predicted", "individual LRs", "exponent", "motion")
        table.add_column(name, justify="right", overflow="fold", no_wrap=whole)
    for point in found.points:
        table.add_row(
            f"{point.effective_lr:.4g}", point.regime.name, f"{point.regime.confidence:.3f}", f"{point.loss_final:.4g}",
            number(finite(point.loss_mean), error=point.loss_stderr if point.loss_stderr > 1e-99 else None),
            _predicted(point), f"{point.gradient_norm:.3g}", f"{math.degrees(point.angle):.2f}",
            _individual(point), "-" if point.exceeded is None else f"{point.exceeded:.3g}",
            *(_motion(point) if "motion" in names else ()),
        )  # fmt: skip
    console = Console(width=None if sys.stdout.isatty() else 176)
    console.print(describe(found.setting), highlight=False, soft_wrap=True)
    console.print(table)
    files = [f"records: {len(found.points)} in {out}"] if out else []
    for line in [*lines(found), *files, *([f"figure: {figure}"] if figure else [])]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
