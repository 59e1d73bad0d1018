"""What to know of one run and its schedule before it begins."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable

from sde_si.hyperparameters import HyperParameters
from sde_si.schedules import Timetable, parse
from sde_si.tune.cautions import step_size, steps
from sde_si.tune.change import Caution, Change
from sde_si.tune.effects import Gradients


def of_schedule(hp: HyperParameters, optimizer: str, gradients: Gradients) -> tuple[Caution, ...]:
    """Warnings of one run and its schedule: its largest step, a partial batch, changes after its last epoch."""
    timetable = Timetable(hp)
    constant = hp.schedule == "constant"
    tops = [hp.lr] if constant else [float(timetable.lr_and_momentum(e)[0].max()) for e in range(hp.epochs)]
    top = hp.replace(lr=max(tops), schedule="constant")
    change = Change(before=top, after=top, optimizer=optimizer, effects={}, gradients=gradients, scheduled=False)
    # Against a run whose batches are all whole.
    whole = dataclasses.replace(change, before=top.replace(N=top.steps_per_epoch * top.B))
    found = [
        step_size(change) if hp.wd else None,
        steps(whole),
        *(_late(*part, hp.epochs) for part in parse(hp.schedule)),
    ]
    return tuple(one for one in found if one is not None)


# arguments of schedules that say after how many epochs something happens for the first time
_MOMENTS = {"milestones": "the change", "size": "the first change", "every": "the first change"}


def _late(
    function: Callable[..., object], args: tuple[float, ...], kwargs: dict[str, float], epochs: int
) -> Caution | None:
    """A change of the schedule after the last epoch."""
    given = inspect.signature(function).bind(None, *args, **kwargs).arguments
    for name, what in _MOMENTS.items():
        if name not in given:
            continue
        value = given[name]
        times = [math.ceil(v) for v in value] if isinstance(value, tuple) else [int(value)]
        late = [time for time in times if time >= epochs]
        if late:
            which = ", ".join(map(str, late))
            text = f"{what} of the schedule after epoch {which} never happens: the run has {epochs} epochs"
            return Caution("never", text, max(late), epochs - 1)
    return None
