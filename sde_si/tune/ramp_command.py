"""Learning-rate range test of a training command: one short run from the same start at every learning rate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from sde_si.errors import BadInput, require
from sde_si.hyperparameters import check_count
from sde_si.sweep import Sweep
from sde_si.tune import trial
from sde_si.tune.ramp_reading import LrRange, learning_rates, read


def lr_range_command(
    command: str,
    *,
    start: float = 1e-4,
    stop: float = 10.0,
    points: int = 16,
    ramp: str = "exponential",
    metric: str = "loss",
    seeds: int = 1,
    out: Path | str = "./runs",
    executor: Any = "local",
    timeout: float | None = None,
    quiet: bool = False,
) -> LrRange:
    """Try a command at rising learning rates; finished runs are found again in `out`.

    A command cannot be stopped and put back, so every learning rate has a short run of its own from the same start:
    nothing is to be restored, and the loss is that at the end of the run.

    Parameters
    ----------
    command : str
        With ``{lr}``, and ``{seed}`` for more than one seed; it ends its output with one JSON object.
    start, stop, points, ramp
        The learning rates.
    metric : str
        Dotted name of the loss in that JSON, the smaller the better; a list counts with its last number.
    seeds : int
        Runs at every learning rate; the loss is their mean.
    out : path
        Folder of the records.
    executor : str or object
        As in `sde_si.sweep.Sweep.run`.
    timeout : float, optional
        Seconds that one run may take.
    quiet : bool

    Returns
    -------
    LrRange
        Without smoothing; a run that failed or diverged counts as a lost loss.

    Raises
    ------
    BadInput
        If the command does not use the learning rate, or no run gives the metric.
    """
    rates = learning_rates(start, stop, points, ramp, name="points")
    check_count("seeds", seeds, advice="3")
    several = "{seed}" in command
    require(several or seeds == 1, "command", "{seed} in the command for more than one seed", repr(command))
    shared = trial.check_command(command, {"lr": rates[0], "seed": 0}, ("lr",))
    typed = [float(f"{rate:.6g}") for rate in rates]
    base, several_seeds = shared | {"metric": metric}, seeds if several else [0]
    sweep = Sweep(function=trial.RUN, base=base, grid={"lr": typed}, seeds=several_seeds, out=out)
    sweep.run(executor=executor, timeout=timeout, quiet=quiet)
    losses = np.array(trial.values_of(sweep, "value")).reshape(points, -1)
    why = trial.reasons(sweep)
    if not np.isfinite(losses).any():
        raise BadInput("command", "a command of which some run succeeds", why[0] if why else "none")
    mean = losses.mean(axis=1)
    lost = int(np.count_nonzero(~np.isfinite(mean)))
    reason = why[0] if why else "no reason known"
    notes = [f"{lost} of {points} learning rates failed or diverged ({reason})"] if lost else []
    spread = losses.std(axis=1, ddof=1) / math.sqrt(losses.shape[1]) if losses.shape[1] > 1 else None
    return read(typed, mean, ramp=ramp, smoothing=0.0, error=spread, notes=notes, runs=True)
