"""Where scalars go: a JSONL file, TensorBoard, wandb, or any function of a dict and a step."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sde_si.errors import DiskProblem
from sde_si.monitor.readings import Reading
from sde_si.terminal import say

Sink = Callable[[dict[str, float], int], Any]
LOGGED = (
    "weight_norm", "effective_lr", "angle_step", "stderr", "predicted", "ratio", "low", "high",
    "relaxation_steps", "steps_left", "norm_drift", "signal",
)  # fmt: skip


def scalars(readings: Sequence[Reading]) -> dict[str, float]:
    """Finite scalars of readings, named ``sde_si/<quantity>/<group>``."""
    out = {}
    for reading in readings:
        values = {
            name: getattr(reading, name) for name in ("weight_norm", "effective_lr", "angle_step", "predicted", "ratio")
        }
        values |= {f"angle_lag_{lag or 'epoch'}": found.angle for lag, found in reading.lags.items() if lag != 1}
        out |= {f"sde_si/{name}/{reading.name}": v for name, v in values.items() if math.isfinite(v)}
    return out


def tensorboard(writer: Any) -> Sink:
    """Sink into a ``torch.utils.tensorboard.SummaryWriter``."""

    def sink(values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    return sink


def wandb(run: Any) -> Sink:
    """Sink into a wandb run, with the optimizer step as a value: wandb's own step stays with the training loop."""

    def sink(values: dict[str, float], step: int) -> None:
        run.log(values | {"sde_si/step": step}, commit=False)

    return sink


def plain(reading: Reading) -> dict[str, Any]:
    """A reading as JSON: angles in radians, null for what is not known."""

    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    rule = reading.rule
    return {
        "level": reading.level,
        "optimizer": {"form": rule.form, **{n: number(getattr(rule, n)) for n in ("lr", "wd", "momentum")}},
        **{name: number(getattr(reading, name)) for name in LOGGED},
        "norm_predicted": number(reading.norm_predicted),
        "tuning_factor": number(reading.tuning_factor),
        "equilibrated": reading.equilibrated,
        "why": reading.why,
        "lags": {
            str(lag or "epoch"): {
                "angle": number(r.angle), "stderr": number(r.stderr), "predicted": number(r.predicted),
                "windows": r.windows, "confinement": number(r.confinement),
            }
            for lag, r in reading.lags.items()
        },
    }  # fmt: skip


class Writer:
    """Log file and sinks of one monitor; false if there is nothing to write to.

    Parameters
    ----------
    log : path or None
        JSONL file, appended to.
    sinks : sequence of callables

    Raises
    ------
    DiskProblem
        If the file cannot be opened.
    """

    def __init__(self, log: str | Path | None, sinks: Sequence[Sink]) -> None:
        self.log, self.sinks = Path(log) if log is not None else None, list(sinks)
        if self.log is not None:
            try:
                self.log.parent.mkdir(parents=True, exist_ok=True)
                self.log.open("a").close()
            except OSError as error:
                raise DiskProblem(f"cannot write {self.log}: {error.strerror or error}; try another log=") from error

    def __bool__(self) -> bool:
        return self.log is not None or bool(self.sinks)

    def write(self, step: int, epoch: int, readings: Sequence[Reading]) -> None:
        """One line and one call per sink. A full disk ends the log with a message, not the training."""
        if self.log is not None:
            line = json.dumps({"step": step, "epoch": epoch, "groups": {r.name: plain(r) for r in readings}})
            try:
                with self.log.open("a") as file:
                    file.write(line + "\n")
            except OSError as error:
                say(f"AngularMonitor: the log ends here, cannot write {self.log}: {error.strerror or error}")
                self.log = None
        values = scalars(readings)
        for sink in self.sinks:
            sink(values, step)
