"""From what a training measured to the one record, with what theory says of its hyperparameters."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.comparison import finite
from sde_si.hyperparameters import HyperParameters
from sde_si.provenance import provenance
from sde_si.quantities import QUANTITIES
from sde_si.record import make
from sde_si.schedules import Timetable
from sde_si.theory import Prediction, first_order, paper_course, rms_angle
from sde_si.theory.discrete import angle_of
from sde_si.theory.optimizers import Rule, assumes, displacement_ratio, equilibrium_versine, relaxation, table_rate
from validation.train.job import Job
from validation.train.optimizers import OPTIMIZERS

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
ASSUMES = "norm equilibrium; noise with replacement, neither drift nor confinement (theory.md 1.9, 18)"


def predictions(job: Job) -> dict[str, Prediction]:
    """What the noise alone would do at equilibrium, after the last change of the schedule (theory.md 6.7, 9.2, 9.5)."""
    timetable = Timetable(job.hyperparameters)
    if timetable.last_change >= job.hyperparameters.epochs and job.hyperparameters.schedule != "constant":
        return dict.fromkeys(QUANTITIES, Prediction(note="the schedule never settles: no equilibrium"))
    hp, rule = _settled(job), _rule(job)
    law = rule.law
    assert law is not None  # every optimizer of the trainer has one
    n = hp.steps_per_epoch
    if hp.intrinsic_lr == 0:
        return dict.fromkeys(QUANTITIES, Prediction(note="without weight decay there is no equilibrium"))
    if law.table is None:
        paper = first_order(hp, decoupled=law.decoupled)
    else:
        # Kosson et al.'s rotation; their norm is of one group of known size and noise
        paper = dict.fromkeys(QUANTITIES) | {"angle_step": finite(law.table(rule, 1, math.nan).rotation)}
    step, epoch = (equilibrium_versine(rule, lag) for lag in (1, n))
    note = "the network's own signal and noise decide it (python -m validation.compare)"
    if math.isnan(step) or job.svag > 1:
        note = law.note or "no closed form with a mean gradient (theory.md 4.3)"
        return {name: Prediction(paper=value, note=note) for name, value in paper.items()}
    out = {name: Prediction(paper=value, note=note) for name, value in paper.items()}
    exact = {
        "angle_step": (rms_angle(step), assumes(rule)),
        "angle_epoch": (angle_of(epoch), ASSUMES),
        "cos_epoch": (1 - epoch, ASSUMES),
    }
    if law.table is None and not law.decoupled:
        exact["time_to_equilibrium"] = (relaxation(rule)[0] / n, "small deviations, noise dominates")
    for name, (value, under) in exact.items():
        out[name] = Prediction(value=value, paper=paper[name], source=law.source, assumes=under)
    return out


def _settled(job: Job) -> HyperParameters:
    """After the last change of the schedule, with the optimizer's own hyperparameters filled in."""
    beta2, eps = job.extras
    return Timetable(job.hyperparameters).settled.replace(beta2=beta2, eps=eps)


def _relaxation_rate(job: Job, factor: float) -> float:
    """Share of a small deviation of |x|^2 that an epoch takes away; nan if unknown."""
    hp, rule = _settled(job), _rule(job)
    adaptive = rule.law is not None and rule.law.table is not None and hp.intrinsic_lr > 0
    return hp.steps_per_epoch * table_rate(rule, 1, math.nan) if adaptive else 4 * factor


def _rule(job: Job) -> Rule:
    """The optimizer's law after the last change of the schedule."""
    hp = _settled(job)
    form = "sgd" if job.optimizer.startswith("sgd-") else job.optimizer  # the forms differ only while lr changes (0.8)
    return Rule(form, hp.lr, hp.wd, hp.momentum, hp.beta2 or 0.0)


def _balance(job: Job) -> float:
    """E|x' - x|^2/E|x|^2 of a step at a stationary norm, from <x, g> = 0 alone; nan where unknown."""
    return math.nan if job.svag > 1 else displacement_ratio(_rule(job))


def record(job: Job, results: Mapping[str, Array], names: list[str], digest: str, **made: Any) -> xr.Dataset:
    """The record of the epochs done.

    Parameters
    ----------
    job : Job
    results : mapping of ndarray
        As `Trainer.results` gives them, the paths of all seeds together.
    names : list of str
        The groups, ``"all"`` last.
    digest : str
    **made
        For the provenance, beside device and compilation.
    """
    hp = job.hyperparameters
    timetable = Timetable(hp)
    epochs = results["train_loss"].shape[1]
    last = [timetable.lr_and_momentum(e) for e in range(epochs)]
    lr = np.array([rates[-1] for rates, _ in last])
    if job.effective_lr is not None:
        lr = lr / hp.lr * job.effective_lr * float(results["initial"][0, -1]) ** 2
    variables = {
        "cos_epoch": np.cos(results["angle_epoch"]),
        "effective_lr": lr[:, None] / results["weight_norm"] ** 2,
        "weight_norm_initial": results["initial"],
        "lr": lr,
        "momentum": np.array([momenta[-1] for _, momenta in last]),
        "batch": timetable.batch[:epochs].astype(np.int32),
        "steps_per_epoch": timetable.steps[:epochs].astype(np.int32),
        "diverged_step": results["dead"].astype(np.int32),
        "diverged_reason": np.where(results["dead"] >= 0, 2, 0).astype(np.int32),
        "angle_epoch_paper": paper_course(timetable, decoupled=OPTIMIZERS[job.optimizer].decoupled)[:epochs],
    }
    taken = ("initial", "dead", "angle_lag")
    variables |= {name: value for name, value in results.items() if name not in taken}
    if job.lags:
        variables["cos_lag"] = np.cos(results["angle_lag"])
    balance = math.nan if job.effective_lr is not None else _balance(job)
    final = timetable.settled
    factor = final.decoupled_tuning_factor if OPTIMIZERS[job.optimizer].decoupled else final.tuning_factor
    return make(
        variables,
        groups=names[:-1] or names,
        lags=job.lags,
        attributes={
            "source": "train",
            "method": OPTIMIZERS[job.optimizer].method,
            "configuration": job.configuration(),
            "digest": digest,
            "last_change": timetable.last_change,
            "tuning_factor": factor,
            "relaxation_rate": _relaxation_rate(job, factor),
            "expected_displacement_ratio": balance,
            "predictions": {name: dataclasses.asdict(row) for name, row in predictions(job).items()},
            "provenance": provenance(**{"torch_device": job.device, "compile": job.compile} | made),
        },
    )
