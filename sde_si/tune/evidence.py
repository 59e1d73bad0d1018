"""What a record, or a monitor at work, says of a run: the measurements that advice rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si import estimators
from sde_si.comparison import predictions
from sde_si.errors import BadInput, DiskProblem, require
from sde_si.estimators import Estimate, Window, window_of
from sde_si.estimators.window import verdict_of
from sde_si.hyperparameters import HyperParameters
from sde_si.methods import METHODS
from sde_si.record import configuration, load
from sde_si.theory.forms import FORMS, Form

if TYPE_CHECKING:
    import xarray as xr

NOTHING = Estimate(math.nan, math.nan)
RECENT = 4  # the last quarter of the epochs since the last change, where there is no equilibrium


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Measurements of one run after the last change of its schedule.

    Attributes
    ----------
    name : str
        Where they come from.
    method : str
        Of the record.
    lr, wd, momentum : float
    B : int or None
    steps_per_epoch : int
    epochs : int
        Done.
    window : Window
        Equilibrated epochs.
    versine_epoch : Estimate
        1 - cos per epoch at equilibrium.
    ratio : Estimate
        rms angle per step over its equilibrium prediction, now.
    relaxation : Estimate
        Measured epochs in which a small deviation of the norm falls by e.
    relaxation_predicted : float
        The same by theory, nan if unknown.
    signal_to_noise : Estimate
        G/tau at B.
    signal, noise_trace : float
        Means, at the unit vector.
    """

    name: str
    method: str
    lr: float
    wd: float
    momentum: float
    B: int | None
    steps_per_epoch: int
    epochs: int
    window: Window
    versine_epoch: Estimate
    ratio: Estimate
    relaxation: Estimate = NOTHING
    relaxation_predicted: float = math.nan
    signal_to_noise: Estimate = NOTHING
    signal: float = math.nan
    noise_trace: float = math.nan

    @property
    def form(self) -> str:
        """Key of `FORMS` whose law holds once lr is constant; of the SDE that of SGD. Empty: none is known."""
        known = METHODS.get(self.method)
        if self.method in FORMS or known is None or known.extras:
            return self.method if self.method in FORMS else ""
        return "sgdw" if known.decoupled else "sgd"

    @property
    def law(self) -> Form | None:
        """The law itself."""
        return FORMS.get(self.form)

    @property
    def quartic(self) -> bool:
        """Whether it comes to equilibrium as SGD with coupled decay does, by |x|^4 (theory.md 6.5)."""
        return self.law is not None and self.law.size == "gradient" and not self.law.decoupled

    @property
    def epochs_said(self) -> str:
        """The equilibrated epochs in words."""
        return f"epochs {self.window.first}-{self.epochs}" if self.window else f"epoch {self.epochs}"


def of_record(record: xr.Dataset, name: str = "record") -> Evidence:
    """The evidence in a record of a simulation, a training or a monitor.

    Raises
    ------
    BadInput
        If the record is a prediction.
    """
    require("weight_norm" in record, "record", "a measured record", "a prediction", "sde-si simulate without --theory")
    made, window = configuration(record), window_of(record)
    epochs, versine, relaxation = record.sizes["epoch"], NOTHING, NOTHING
    if window:
        versine = estimators.equilibrium(record, window, "versine_epoch")
        relaxation = estimators.relaxation(record, window)
    rate = record.attrs.get("relaxation_rate")
    rate = 4 * float(record.attrs["tuning_factor"]) if rate is None else float(rate)
    known = predictions(record).get("time_to_equilibrium")
    expected = known.value if known is not None and known.value is not None else (1 / rate if rate else math.inf)
    both = {"signal", "noise_trace"} <= set(record.variables)
    signal, trace, quotient = _gradients(record, window) if both else (math.nan, math.nan, NOTHING)
    batch = record.get("batch")
    return Evidence(
        name=name, method=str(made.get("method", "")), lr=float(record["lr"].values[-1]), wd=float(made["wd"]),
        momentum=float(record["momentum"].values[-1]), B=made.get("B") if batch is None else int(batch.values[-1]),
        steps_per_epoch=int(record["steps_per_epoch"].values[-1]), epochs=epochs, window=window,
        versine_epoch=versine, ratio=_ratio(record, window), relaxation=relaxation,
        relaxation_predicted=float(expected), signal_to_noise=quotient, signal=signal, noise_trace=trace,
    )  # fmt: skip


def of_monitor(monitor: Any) -> Evidence:
    """The evidence of an `AngularMonitor` at work: that of its record, which carries the monitor's verdict.

    Raises
    ------
    BadInput
        If it has not seen a whole epoch.
    """
    return of_record(monitor.record(), "monitor")


def unready(source: Any) -> str:
    """Why a monitor cannot be asked yet: before the end of its first epoch; empty for all else."""
    why = source.unready() if hasattr(source, "readings") else ""
    return f"the monitor has seen {why}: nothing is measured over an epoch yet" if why else ""


def of(source: Any, name: str = "record", flag: str = "record") -> Evidence:
    """The evidence in a record, a file or a monitor; `flag` is what the user calls it."""
    if isinstance(source, str) or hasattr(source, "__fspath__"):
        return of_record(record_of_run(source, flag), str(source))
    return of_monitor(source) if hasattr(source, "readings") else of_record(source, name)


def record_of_run(file: Any, flag: str = "record") -> xr.Dataset:
    """The record in a file.

    Raises
    ------
    BadInput
        If it is whole, but not that of a run.
    DiskProblem
        If it is missing or damaged.
    """
    try:
        return load(file)
    except DiskProblem:
        if not (kind := _foreign(file)):
            raise
    raise BadInput(
        flag, "a record of simulate, train or a monitor", f"{file}, which is {kind}", "the .nc file of a run"
    )


def _foreign(file: Any) -> str:
    """What a NetCDF file is that no run wrote; empty for a run's, and for what cannot be read."""
    import xarray as xr

    try:
        with xr.open_dataset(file, engine="scipy") as opened:
            attributes = dict(opened.attrs)
    except Exception:
        return ""  # damaged
    if "configuration" in attributes:
        return ""
    name = attributes.get("experiment")
    return f"the record of the experiment {name}" if name else "a NetCDF file without the settings of a run"


def _since(record: xr.Dataset, window: Window) -> slice:
    """The equilibrated epochs, else the last quarter of those since the last change."""
    if window:
        return window.epochs
    last, total = int(record.attrs["last_change"]), record.sizes["epoch"]
    return slice(min(total - 1, max(last, total - max(1, (total - last) // RECENT))), None)


def _gradients(record: xr.Dataset, window: Window) -> tuple[float, float, Estimate]:
    """Signal, noise trace and their quotient: a ratio of means, with its standard error."""
    since = _since(record, window)
    signal, trace = (estimators.values(record, name)[:, since] for name in ("signal", "noise_trace"))
    fine = np.isfinite(signal).all(axis=1) & np.isfinite(trace).all(axis=1)
    if not fine.any() or not trace[fine].mean() > 0:
        return math.nan, math.nan, NOTHING
    signal, trace = signal[fine], trace[fine]
    quotient = float(signal.mean() / trace.mean())
    error = estimators.mean_and_error(estimators.path_or_batch_means(signal - quotient * trace)).stderr / trace.mean()
    return float(signal.mean()), float(trace.mean()), Estimate(quotient, float(error))


def _ratio(record: xr.Dataset, window: Window) -> Estimate:
    """Rms angle per step over its prediction at equilibrium, in the last epochs; a monitor's record says it."""
    if verdict := verdict_of(record):
        return Estimate(*(math.nan if verdict[name] is None else verdict[name] for name in ("ratio", "stderr")))
    since, known = _since(record, window), predictions(record).get("angle_step")
    target = known.value if known is not None else None
    if target is None and "angle_step_predicted" in record:
        target = float(record["angle_step_predicted"].values[-1])
    if not target or not math.isfinite(target):
        return NOTHING
    squares = estimators.values(record, "angle_step")[:, since] ** 2
    squares = squares[np.isfinite(squares).all(axis=1)]
    if not squares.size:
        return NOTHING
    found = estimators.mean_and_error(estimators.path_or_batch_means(squares))
    value = math.sqrt(found.value) / target
    return Estimate(value, found.stderr / found.value * value / 2)


def gradients_of(record: xr.Dataset, source: HyperParameters, optimizer: str = "sgd") -> dict[str, float]:
    """Signal and noise trace for `sde_si.tune.transfer`.

    Raises
    ------
    BadInput
        If the record has none, or is not of the tuned settings.
    """
    found = of_record(record)
    tuned = {"N": configuration(record).get("N"), "B": found.B, "lr": found.lr, "wd": found.wd,
             "momentum": found.momentum}  # fmt: skip
    fits = (found.form or found.method) == optimizer
    require(fits, "record", f"a record of {optimizer}", found.method, "--optimizer")
    for name, value in tuned.items():
        same = value is None or math.isclose(value, getattr(source, name), rel_tol=1e-9)
        require(same, "record", f"a record with the tuned {name} = {getattr(source, name):g}", value)
    if not math.isfinite(found.noise_trace):
        raise BadInput("record", "a record with signal and noise_trace", "one without", "--signal and --noise-trace")
    return {"signal": max(found.signal, 0.0), "noise_trace": found.noise_trace}
