"""The flags of ``python -m sde_si.simulate``: one flat set, with every loss's parameters from the registry."""

from __future__ import annotations

from typing import Any

from sde_si.errors import BadInput, require
from sde_si.hyperparameters import HyperParameters
from sde_si.losses import LOSSES
from sde_si.methods import METHODS
from sde_si.noises import NOISES, SAMPLINGS
from sde_si.options import FLOAT, INT, JSON, NO_FIGURE, OUT, QUIET, TEXT, comma, flag, one, options_class, real, whole
from sde_si.problem import Problem, find_loss
from sde_si.run import Run
from sde_si.schedules import SCHEDULES

_KINDS = {"number": FLOAT, "numbers": comma(real, "A,B,..."), "array": one(str, "FILE.npy")}


def _shown(value: Any) -> str:
    return ",".join(f"{v:g}" for v in value) if isinstance(value, tuple) else f"{value:g}"


def _epochs(text: str) -> int | str:
    return text if text == "auto" else whole(text)


def _loss_flags() -> dict[str, tuple[Any, Any]]:
    """The union of the losses' parameters; None: take the loss's own default."""
    flags: dict[str, tuple[Any, Any]] = {}
    for loss in LOSSES.values():
        for name, parameter in loss.parameters.items():
            users = ", ".join(other.name for other in LOSSES.values() if name in other.parameters)
            default = "" if parameter.default is None else f" [default {_shown(parameter.default)}]"
            flags[name] = flag(_KINDS[parameter.kind], None, f"({users}) {parameter.help}{default}")
    return flags


def _extras(name: str) -> str:
    """The methods that use a hyperparameter, with their defaults."""
    return ", ".join(f"{m.name} [default {m.extras[name]:g}]" for m in METHODS.values() if name in m.extras)


_HP = HyperParameters()
RUN_FLAGS: dict[str, tuple[Any, Any]] = {
    "N": flag(INT, None, "training samples [default 50000, or the rows of --data]"),
    "B": flag(INT, _HP.B, "batch size"),
    "lr": flag(FLOAT, _HP.lr, "learning rate per step"),
    "wd": flag(FLOAT, _HP.wd, "weight decay"),
    "momentum": flag(FLOAT, _HP.momentum, "momentum coefficient"),
    "beta2": flag(FLOAT, None, f"second coefficient ({_extras('beta2')})"),
    "eps": flag(FLOAT, None, f"addend of the denominator ({_extras('eps')})"),
    "epochs": flag(one(_epochs, "INT|auto"), _HP.epochs, "epochs, or auto: until 20 epochs are in equilibrium"),
    "schedule": flag(TEXT, _HP.schedule, f"NAME:ARGS, several joined by +; names: {', '.join(SCHEDULES)}"),
    "loss": flag(TEXT, "isotropic", f"{', '.join(LOSSES)}, or path/file.py:name"),
    "dim": flag(INT, None, "dimension of the weights [default 256, or as the loss or the data have it]"),
    "method": flag(comma(str, "NAME,..."), None,
                   f"any of {', '.join(METHODS)} [default sgd, and splitting or em for the SDE]"),
    "paths": flag(INT, 64, "independent trajectories"),
    "substeps": flag(INT, None, "substeps a step of an SDE method [default em 8 (finite sum 4), splitting 4, svag 4]"),
    "noise": flag(TEXT, None, f"{', '.join(NOISES)} [default gaussian; difference for the SDE of a finite sum]"),
    "sampling": flag(TEXT, "replacement", f"{' or '.join(SAMPLINGS)}"),
    "init_norm": flag(TEXT, "1eq", "length at the start; 0.3eq: times the first method's equilibrium length"),
    "seed": flag(INT, 0, "decides every random number"),
    "lags": flag(comma(whole, "1,2,5,..."), None, "record the cosine at these lags, in steps"),
    "noise_from": flag(TEXT, None, "sum the increments of a run with so many substeps (a number or its record)"),
    "target_error": flag(TEXT, None, "add paths until 1 - cos_epoch has this relative standard error, as 0.3%"),
    "check_step": flag(bool, False, "halve the substep too and show the difference"),
}  # fmt: skip
OUTPUT_FLAGS: dict[str, tuple[Any, Any]] = {
    "threads": flag(INT, None, "worker threads [default: all cores]; the numbers do not depend on them"),
    "out": OUT,
    "config": flag(TEXT, None, "TOML file with any of these flags (as written in the JSON); flags override it"),
    "theory": flag(bool, False, "print predictions, simulate nothing"),
    "fresh": flag(bool, False, "compute again even if the record exists"),
    "no_figure": NO_FIGURE,
    "json": JSON,
    "quiet": QUIET,
    "save_states": flag(bool, False, "save the end states, so that a longer --epochs goes on from them"),
    "dry_run": flag(bool, False, "print steps, memory and estimated time, simulate nothing"),
    "list": flag(bool, False, "list losses, methods, noises and schedules"),
    "version": flag(bool, False, "print the version"),
}
LOSS_FLAGS = _loss_flags()
# flags that may name a file
FILES = frozenset({"loss", "noise_from"}) | {
    name for loss in LOSSES.values() for name, parameter in loss.parameters.items() if parameter.kind == "array"
}
DERIVED = frozenset({"tuning_factor", "steps_per_epoch", "intrinsic_lr"})
Options = options_class(
    "Options",
    RUN_FLAGS | LOSS_FLAGS | OUTPUT_FLAGS,
    "Simulate SGD or SGDM and its SDE on a synthetic scale-invariant loss, beside the exact predictions.",
)


def problem_of(options: Any) -> Problem:
    """The problem that the flags describe.

    Raises
    ------
    BadInput
        For an unknown loss or a parameter of another one.
    """
    given = {name: getattr(options, name) for name in LOSS_FLAGS if getattr(options, name) is not None}
    return Problem(find_loss(options.loss), dim=options.dim, **given)


def hyperparameters_of(options: Any, problem: Problem) -> HyperParameters:
    """The hyperparameters; N from the data if there are any, ``auto`` epochs as 1 for now."""
    N = options.N if options.N is not None else problem.default_N() or _HP.N
    epochs = 1 if options.epochs == "auto" else options.epochs
    return HyperParameters(
        N=N,
        B=options.B,
        lr=options.lr,
        wd=options.wd,
        momentum=options.momentum,
        epochs=epochs,
        schedule=options.schedule,
        beta2=options.beta2,
        eps=options.eps,
    )


def target_of(options: Any) -> float | None:
    """``0.3%`` or ``0.003`` as a number.

    Raises
    ------
    BadInput
        If it is neither.
    """
    text = options.target_error
    if text is None:
        return None
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise BadInput("target_error", "a relative error such as 0.3%", repr(text), "0.3%") from None
    from sde_si.simulate.api import check_target

    check_target(value)
    return value


def block_of(options: Any, runs: list[Run]) -> dict[str, Any]:
    """The JSON's ``hyperparameters``: every flag that decides the runs, and the derived quantities."""
    run, hp = runs[0], runs[0].hyperparameters
    block = {name: getattr(options, name) for name in RUN_FLAGS}
    block |= {"N": hp.N, "method": [each.method.name for each in runs], **run.problem.parameters}
    block = {name: list(v) if isinstance(v, tuple) else v for name, v in block.items() if v is not None}
    block |= {name: getattr(hp, name) for name in sorted(DERIVED)}
    steps = run.timetable.steps
    return block if (steps == steps[0]).all() else block | {"steps_per_epoch": steps.tolist()}


def check_output(options: Any) -> None:
    """Refuse flags that contradict each other."""
    require(not (options.theory and options.dry_run), "dry_run", "either --theory or --dry-run", "both")
    require(not (options.save_states and options.epochs == "auto"), "save_states", "a number of --epochs", "auto", "40")
