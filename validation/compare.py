"""Theory laid over a real network's run: ``python -m validation.compare RECORD...``.

For each record of `validation.train`: the exact identities, the rotation per step and per epoch beside the laws that
leave something out, and the rotation curve, 1 - cos against the lag.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from sde_si.errors import CLAIM_FAILED, DONE, require
from sde_si.record import configuration
from sde_si.terminal import guarded

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
UNSTABLE = 0.95  # of the edge 2 (1 + mu), from which on the law has no stationary variance (18.1)
_NOISE_ONLY, _RESHUFFLED, _CONFINED = "noise alone (9.2)", "reshuffled (1.13)", "confined (18.2)"


@dataclass(frozen=True)
class Check:
    """An identity that must hold: what is left of it, and how much may be."""

    name: str
    left: float
    allowed: float
    source: str


@dataclass(frozen=True)
class Rotation:
    """1 - cos over a window of steps: measured, and by each law that applies."""

    name: str
    steps: int
    measured: float
    stderr: float
    laws: dict[str, float]


def identities(record: xr.Dataset) -> list[Check]:
    """What holds for every scale-invariant network, of its whole vector (theory.md 1.3, 1.11)."""
    made = configuration(record)
    single = made["precision"] != "fp64"
    out = []
    if made["optimizer"] == "sgd" and made["momentum"] == 0 and made["effective_lr"] is None and made["svag"] == 1:
        n, u = record["steps_per_epoch"].values, record["lr"].values * made["wd"]
        start = record["weight_norm_initial"].values[:, None]
        groups = [g for g in record["group"].values if g != "all"] or ["all"]
        radius = np.concatenate([start, record["weight_norm"].transpose("path", "epoch", "group").values], axis=1)
        said = (n * np.log1p(-u))[:, None] + np.log(radius[:, :-1] / radius[:, 1:])
        gap = record["log_cos_step"].transpose("path", "epoch", "group").values - said
        inside = record["group"].isin(groups).values
        # Of an epoch with a constant learning rate: the record has the last one.
        scale = np.abs(n * np.log1p(-u))[:, None] if made["wd"] else np.abs(said)
        left = float(np.nanmax(np.abs(gap / scale)[..., inside]))
        out.append(Check("sum of ln cos of the steps, largest over groups", left, 1e-2 if single else 1e-10, "1.3"))
    if np.isfinite(record["split_drift"].values).any():
        parts = sum(record[f"split_{name}"] for name in ("decay", "velocity", "drift"))
        left = float(np.nanmax(np.abs(parts - record["cos_epoch"]).values))
        out.append(Check("split of the cosine, largest over groups", left, 1e-5 if single else 1e-9, "1.11"))
    left = float(np.nanmax(record["radial_gradient"].sel(group="all").values))
    out.append(Check("rms cosine of weights and gradient", left, 1e-3, "0.4, 15.5"))
    return out


def curvature(record: xr.Dataset) -> tuple[Array, Array] | None:
    """Curvatures seen by the noise and their weights, over all checkpoints and seeds; negative ones counted as 0."""
    if "curvature" not in record:
        return None
    nodes, weights = record["curvature"].values.ravel(), record["curvature_weight"].values.ravel()
    return np.maximum(nodes, 0.0), weights / weights.sum()


def laws(record: xr.Dataset, steps: int, *, middle: bool = False) -> dict[str, Array]:
    """1 - cos over 0, 1, ..., `steps` steps by every law that applies to the record's settings."""
    from sde_si import theory

    made = configuration(record)
    lr, mu, n = float(record["lr"].values[-1]), made["momentum"], int(record["steps_per_epoch"].values[-1])
    u = lr * made["wd"]
    out = {_NOISE_ONLY: 1 - theory.lag_cosines(steps, u, mu)}
    if made["sampling"] == "reshuffle":
        out[_RESHUFFLED] = theory.reshuffled_versines(n, u, mu, steps, start=n // 2 if middle else 0)
    seen = curvature(record)
    if seen is not None:
        stable = lr * seen[0] + u < UNSTABLE * 2 * (1 + mu)
        out[_CONFINED] = theory.confined_versines(steps, u, mu, lr * seen[0][stable], seen[1][stable])
    return out


def unstable_share(record: xr.Dataset) -> float | None:
    """Share of the noise along curvatures that the confinement law leaves out, being at or beyond the edge."""
    seen, made = curvature(record), configuration(record)
    if seen is None:
        return None
    lr, edge = float(record["lr"].values[-1]), UNSTABLE * 2 * (1 + made["momentum"])
    return float(seen[1][lr * (seen[0] + made["wd"]) >= edge].sum())


def rotations(record: xr.Dataset) -> list[Rotation]:
    """Per step, per epoch from end to end and from middle to middle, and at every recorded lag, at equilibrium."""
    from sde_si.estimators import Estimate, lag_versine, mean_and_error, values, window_of

    window, n = window_of(record), int(record["steps_per_epoch"].values[-1])
    lags = [int(lag) for lag in record["lag"].values] if "lag" in record else []
    longest = max([n, *lags])
    ends, middles = laws(record, longest), laws(record, n, middle=True)

    def versine(name: str) -> Estimate:
        if not window:
            return mean_and_error(np.array([]))
        angle = values(record, name)[:, window.epochs]
        return mean_and_error((2 * np.sin(angle / 2) ** 2).mean(axis=1))

    found = [("one step", 1, versine("angle_step"), ends), ("epoch, end to end", n, versine("angle_epoch"), ends),
             ("epoch, middle to middle", n, versine("angle_middle"), middles)]  # fmt: skip
    found += [(f"lag {lag}", lag, lag_versine(record, window, lag), ends) for lag in lags]
    return [
        Rotation(name, steps, one.value, one.stderr, {law: float(curve[steps]) for law, curve in of.items()})
        for name, steps, one, of in found
    ]


def figure(record: xr.Dataset, title: str) -> Any:
    """The rotation curve: 1 - cos against the lag, measured and by every law."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from sde_si.figures import STYLE

    points = [one for one in rotations(record) if one.name.startswith(("lag", "one step", "epoch, end"))]
    points.sort(key=lambda one: one.steps)
    steps = np.arange(1, points[-1].steps + 1)
    with mpl.rc_context(fname=str(STYLE)):
        drawn = Figure(figsize=(5.5, 4), layout="constrained")
        axis = drawn.subplots()
        x, y = [p.steps for p in points], [p.measured for p in points]
        axis.errorbar(x, y, [np.nan_to_num(p.stderr) for p in points], fmt="o", color="k", label="measured", zorder=3)
        for name, curve in laws(record, int(steps[-1])).items():
            axis.plot(steps, curve[1:], label=name, ls="-" if name == _CONFINED else "--")
        axis.axvline(int(record["steps_per_epoch"].values[-1]), color="0.8", lw=0.8, zorder=0)
        axis.set(
            xscale="log",
            yscale="log",
            xlabel="lag [steps]; the grey line is one epoch",
            ylabel="1 - cosine",
            title=title,
        )
        axis.legend()
    return drawn


def show(file: str, record: xr.Dataset, out: Path) -> dict[str, Any]:
    """Tables and figure of one record; returns them as JSON types."""
    import matplotlib as mpl
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from sde_si.comparison import finite, number, percent
    from sde_si.estimators import window_of
    from sde_si.figures import STYLE
    from sde_si.record import write_bytes

    made, window = configuration(record), window_of(record)
    checks, turned = identities(record), rotations(record)
    names = list(dict.fromkeys(law for one in turned for law in one.laws))
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in ("1 - cos", "steps", "measured ± s.e.", *(f"{name}, error" for name in names)):
        table.add_column(column, justify="left" if column == "1 - cos" else "right", overflow="fold")
    for one in turned:
        measured = finite(one.measured)
        cells = [number(measured, error=one.stderr if np.isfinite(one.stderr) else None)]
        for name in names:
            law = one.laws.get(name)
            error = None if measured is None or law is None else measured / law - 1
            cells.append("-" if law is None else f"{law:.4g}, {percent(error)}")
        table.add_row(one.name, str(one.steps), *cells)
    title = f"{made['network']} on {made['data']}, {made['method']}, momentum {made['momentum']:g}, {made['sampling']}"
    buffer = io.BytesIO()
    with mpl.rc_context(fname=str(STYLE)):
        figure(record, title).savefig(buffer, format="png")
    picture = out / f"compare-{record.attrs['digest'][:12]}.png"
    write_bytes(buffer.getvalue(), picture)
    console = Console(width=None if sys.stdout.isatty() else 160, stderr=False)
    console.print(f"{title}: {window.why or 'no equilibrium'}", highlight=False, soft_wrap=True)
    console.print(table)
    for check in checks:
        verdict = "holds" if check.left <= check.allowed else "DOES NOT HOLD"
        console.print(f"theory {check.source}: {check.name}: {check.left:.2g}, allowed {check.allowed:.0e}: {verdict}",
                      highlight=False, soft_wrap=True)  # fmt: skip
    dropped = unstable_share(record)
    if dropped is not None:
        console.print(f"{_CONFINED} leaves out {dropped:.1%} of the noise: curvature at the edge of stability",
                      highlight=False, soft_wrap=True)  # fmt: skip
    console.print(f"figure: {picture}", highlight=False, soft_wrap=True)
    return {"record": file, "good": all(check.left <= check.allowed for check in checks)}


def compare(
    records: Annotated[tuple[str, ...], tyro.conf.Positional],
    out: str = "",
) -> int:
    """Theory over the records of real networks.

    Parameters
    ----------
    records
        Files written by python -m validation.train.
    out
        Folder for the figures [default: the first record's].
    """
    from sde_si.record import load

    require(bool(records), "records", "at least one record", "none", "runs/train-sgd-....nc")
    loaded = {file: load(file) for file in records}
    for file, record in loaded.items():
        source = record.attrs.get("source")
        require(source == "train", "records", "records of python -m validation.train", f"{file} ({source})")
    folder = Path(out) if out else Path(records[0]).parent
    results = [show(file, record, folder) for file, record in loaded.items()]
    return DONE if all(result["good"] for result in results) else CLAIM_FAILED


def main(args: Sequence[str] | None = None) -> int:
    """``python -m validation.compare``; returns the exit code."""
    return guarded(lambda: tyro.cli(compare, prog="python -m validation.compare", args=args))


if __name__ == "__main__":
    sys.exit(main())
