"""What `AngularMonitor` refuses, each time with what it expects instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from sde_si.errors import require
from sde_si.hyperparameters import check_count
from sde_si.monitor.optimizers import clean

GROUPS = 'groups=["0.weight"], or groups={"a name": ["0.weight", "0.bias"]}'
STATE = "monitor.state_dict()"


def check_counts(every: Any, flush_every: Any, steps_per_epoch: Any, total_steps: Any) -> None:
    """Refuse what are no counts.

    Raises
    ------
    BadInput
        With the parameter's name.
    """
    check_count("every", every, advice="10")
    check_count("flush_every", flush_every, advice="50")
    for name, value in {"steps_per_epoch": steps_per_epoch, "total_steps": total_steps}.items():
        if value is not None:
            check_count(name, value, advice="391")


def check_lists(lags: Any, sinks: Any) -> None:
    """Refuse lags that are no counts, and sinks that cannot be called.

    Raises
    ------
    BadInput
        With the parameter's name.
    """
    require(_several(lags), "lags", "several numbers of steps", repr(lags), "lags=(10, 100)")
    for lag in lags:
        check_count("lags", lag, advice="(10, 100)")
    advice = "sinks=[sde_si.monitor.tensorboard(writer)]"
    require(_several(sinks), "sinks", "several functions of a dict and a step", repr(sinks), advice)
    for sink in sinks:
        require(callable(sink), "sinks", "functions of a dict and a step", repr(sink), advice)


def check_groups(groups: Any, found: Mapping[str, tuple[torch.Tensor, int]]) -> dict[str, list[str]]:
    """Groups as names of their parameters.

    Parameters
    ----------
    groups : mapping of str to sequence of str, or sequence of str
    found : mapping of str to (Tensor, int)
        What the optimizer steps.

    Raises
    ------
    BadInput
        If they are no such groups, name what is not stepped, or hold one tensor twice.
    """
    require(_several(groups), "groups", "several names of parameters", repr(groups), GROUPS)
    if not isinstance(groups, Mapping):
        strings = all(isinstance(name, str) for name in groups)
        require(strings, "groups", "names of parameters", repr(groups), GROUPS)
        groups = {name: [name] for name in groups}
    require(bool(groups), "groups", "at least one group", "none", "leave it out, or give batch=")
    out: dict[str, list[str]] = {}
    seen: dict[int, str] = {}
    for label, members in groups.items():
        good = _several(members) and not isinstance(members, Mapping) and all(isinstance(n, str) for n in members)
        require(good, "groups", f"several names of parameters in {label!r}", repr(members), GROUPS)
        out[str(label)] = [clean(name) for name in members]
        require(bool(out[str(label)]), "groups", f"at least one parameter in {label!r}", "none", GROUPS)
        for name in out[str(label)]:
            some = ", ".join(list(found)[:4])
            require(name in found, "groups", "names of parameters that the optimizer steps", repr(name), some)
            # counted twice it would weigh twice in what is said of all together
            other = seen.setdefault(id(found[name][0]), str(label))
            require(
                other == str(label) and out[str(label)].count(name) == 1,
                "groups",
                "every parameter in one group",
                f"{name!r} twice, in {other!r} and {str(label)!r}",
                f"leave it out of {str(label)!r}",
            )
    return out


def _several(value: Any) -> bool:
    return isinstance(value, Sequence | Mapping | set | frozenset) and not isinstance(value, str | bytes)


def check_state(state: Any, names: Sequence[str], param_groups: Sequence[int]) -> None:
    """Refuse what is no monitor's state, or one of other groups.

    Parameters
    ----------
    state : dict
        What `AngularMonitor.state_dict` gave, with arrays for tensors.
    names : sequence of str
        Of the groups that are watched here.
    param_groups : sequence of int
        In which of the optimizer's parameter groups each of them is.

    Raises
    ------
    BadInput
        With what it lacks, or in what it differs.
    """
    expected = "what state_dict gave"
    require(isinstance(state, Mapping), "state", expected, type(state).__name__, STATE)
    lacks = [key for key in ("step", "epoch", "history") if key not in state]
    require(not lacks, "state", expected, f"one without {', '.join(lacks)}", STATE)
    check_count("state", state["step"], 0, STATE)
    epoch = state["epoch"]
    pair = isinstance(epoch, Sequence) and len(epoch) == 2 and all(isinstance(n, int) for n in epoch)
    require(pair, "state", expected, f"epoch {epoch!r}", STATE)
    history = state["history"]
    require(isinstance(history, Mapping), "state", expected, f"a history of type {type(history).__name__}", STATE)
    keys = ("groups", "rows", "epochs", "snapshots", "initial")
    lacks = [key for key in keys if key not in history]
    require(not lacks, "state", expected, f"a history without {', '.join(lacks)}", STATE)
    here = list(names)
    require(
        history["groups"] == here, "state", f"groups {here}", history["groups"], "the same groups=, batch= or model"
    )
    # rows keep what held in each parameter group by its number
    widths = [len(rules) for rules in history["snapshots"]]
    there = history.get("param_groups")
    if there is not None:
        fits, got = list(there) == list(param_groups), f"{list(there)}"
    else:  # written before that was kept
        fits, got = all(max(param_groups) < width for width in widths), f"{min(widths, default=0)} of them"
    require(
        fits,
        "state",
        f"weights in the optimizer's parameter groups {list(param_groups)}",
        got,
        "the optimizer's parameter groups as they were, or a monitor without the old state",
    )
