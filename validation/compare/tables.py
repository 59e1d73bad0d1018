"""Tables of many records, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sde_si.comparison import number
from sde_si.estimators import values, versine
from sde_si.quantities import shown
from sde_si.verify.claim import HOLDS, REFUTED, UNDECIDED
from validation.compare.compared import Compared
from validation.compare.goals import ROTATION
from validation.compare.identities import split
from validation.compare.overlay import beside
from validation.compare.response import norm_by_response
from validation.compare.rotation import ANSWERED, ASYMMETRIC, CONFINED, LAWS, NOISE_ONLY, angle_by_noise
from validation.compare.seeds import FEWEST_SEEDS, Known, decide, mean, settled
from validation.compare.window import checkpoints, configured, window

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
_LAWS = (NOISE_ONLY, CONFINED, ANSWERED, ASYMMETRIC)


def percent(off: Known, *, digits: int = 1) -> str:
    """Measured over predicted, minus one, with its standard error."""
    return f"{100 * off.value:+.{digits}f} ± {100 * off.stderr:.{digits}f} %"


def _value(found: Known, factor: float = 1.0) -> str:
    return number(found.value, factor, error=found.stderr)


def _percent(found: tuple[float, Known] | None) -> str:
    """The same of a prediction and what was measured over it, where there is one."""
    return "-" if found is None else percent(found[1])


def _simulated(one: Compared, name: str, quantity: str) -> str:
    found = next((o for o in one.simulations if o.name == name), None)
    return _percent(None if found is None else beside(one.record, found, quantity))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def norms(records: Sequence[Compared]) -> str:
    """Norm and angle per step at equilibrium beside what the simulations and the laws say."""
    rows = []
    for one in records:
        record = one.record
        used = window(record)
        rows.append([
            one.name, _value(settled(record, used, "weight_norm")),
            *(_simulated(one, name, "weight_norm") for name in ("SDE", "optimizer")),
            _percent(norm_by_response(record)),
            _value(settled(record, used, "angle_step"), shown("angle_step").factor),
            _simulated(one, "SDE", "angle_step"),
            _percent(angle_by_noise(record, one.turned)),
        ])  # fmt: skip
    head = ["network", "norm", "SDE", "optimizer, noise + signal", "noise and response", "angle per step [deg]", "SDE",
            "9.2"]  # fmt: skip
    return table(head, rows)


def rotation(records: Sequence[Compared], epochs: int) -> str:
    """1 - cos at so many epochs beside the laws."""
    rows = []
    for record in records:
        lag = epochs * int(record.record["steps_per_epoch"].values[-1])
        for one in record.turned:
            if one.name == f"lag {lag}" and ANSWERED in one.laws:
                cells = [percent(one.over[law]) if law in one.laws else "-" for law in _LAWS]
                rows.append([record.name, number(one.measured, error=one.stderr), *cells])
    return table(["network", f"1 - cos, {epochs} epoch{'s' * (epochs > 1)}", *_LAWS], rows)


def verdicts(records: Sequence[Compared]) -> str:
    """For each network and law, of how many lags the law holds, is undecided, is refuted at the bound; and of all."""
    measured = [one for one in records if any(ANSWERED in r.laws for r in one.turned)]
    laws = [law for law in LAWS if any(law in r.laws for one in measured for r in one.turned)]
    total, rows = {law: np.zeros(3, dtype=int) for law in laws}, []
    for one in measured:
        lags = [r for r in one.turned if r.name.startswith("lag")]
        cells = []
        for law in laws:
            found = [decide(r.over[law], ROTATION) for r in lags if law in r.over]
            counts = np.array([found.count(verdict) for verdict in (HOLDS, UNDECIDED, REFUTED)])
            total[law] += counts
            cells.append(_counts(counts) if found else "-")
        at = [checkpoints(one.record, name) for name in ("response", "curvature")]
        cells.append("; ".join(f"{a.inside.size} of {a.epochs.size}" if a.epochs.size else "-" for a in at))
        rows.append([one.name, *cells])
    rows.append([f"all {len(measured)}", *(_counts(total[law]) for law in laws), ""])
    return table(["network", *laws, "checkpoints used: response; curvature"], rows)


def _counts(counts: Array) -> str:
    return " / ".join(str(count) for count in counts)


def splits(records: Sequence[Compared]) -> str:
    """The cosine over an epoch and its three parts (1.11)."""
    rows = []
    for one in records:
        found = split(one.record)
        if found is not None:
            rows.append([one.name, *(_value(part) for part in found.values())])
    return table(["network", "cosine over an epoch", "decay", "velocity", "gradients"], rows)


def reshuffling(records: Sequence[Compared]) -> str:
    """What reshuffling does to 1 - cos over an epoch: the same seeds with replacement, and ends against middles."""
    rows = []
    for one in records:
        other = next((o for o in records if _twin(one.record, o.record)), None)
        if not one.reshuffled or other is None:
            continue
        ends, middles = (_turned(one.record, name) for name in ("angle_epoch", "angle_middle"))
        cells = [_paired(ends, _turned(other.record, "angle_epoch")),
                 _paired(middles, _turned(other.record, "angle_middle"))]  # fmt: skip
        apart = _ratio(np.array([ends[seed] / middles[seed] for seed in ends]))
        norms = [settled(o.record, window(o.record), "weight_norm") for o in (one, other)]
        rows.append([one.name, *cells, apart, _value(norms[0]), _value(norms[1])])
    head = ["network", "ends, over replacement", "middles, over replacement", "ends over middles", "norm",
            "with replacement"]  # fmt: skip
    return table(head, rows)


def _twin(one: xr.Dataset, other: xr.Dataset) -> bool:
    """Whether they differ in the sampling alone (and in the number of seeds and what was measured beside)."""
    beside = {"sampling", "seeds", "response", "curvature", "lags", "evaluate_every", "noise_batches"}
    a, b = ({k: v for k, v in configured(r).items() if k not in beside} for r in (one, other))
    return a == b and configured(one)["sampling"] != configured(other)["sampling"]


def _turned(record: xr.Dataset, name: str) -> dict[int, float]:
    """1 - cos over an epoch at equilibrium by seed."""
    first = configured(record)["seed"]
    turned = versine(values(record, name)[:, window(record).epochs]).mean(axis=1)
    return {first + i: float(one) for i, one in enumerate(turned) if np.isfinite(one)}


def _paired(one: dict[int, float], other: dict[int, float]) -> str:
    """Of the seeds that both have."""
    return _ratio(np.array([one[seed] / other[seed] for seed in sorted(one.keys() & other.keys())]))


def _ratio(ratios: Array) -> str:
    """Mean of ratios minus one: with its error if there are three seeds, else seed by seed."""
    if len(ratios) < FEWEST_SEEDS:
        return ", ".join(f"{100 * (one - 1):+.1f}" for one in ratios) + " %"
    return percent(mean(ratios[:, None] - 1))
