"""Which weights are watched, as which groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from sde_si.errors import require
from sde_si.monitor.checks import check_groups
from sde_si.monitor.history import Group
from sde_si.monitor.optimizers import clean

if TYPE_CHECKING:
    from sde_si.audit import Audit

UNTESTED = "untested"


def choose(
    model: torch.nn.Module,
    found: Mapping[str, tuple[torch.Tensor, int]],
    batch: Any,
    loss: Callable[..., torch.Tensor] | None,
    groups: Mapping[str, Sequence[str]] | Sequence[str] | None,
) -> tuple[list[Group], list[torch.Tensor], Audit | None]:
    """Groups, their tensors, and the audit if there was one.

    Parameters
    ----------
    model : Module
    found : mapping of str to (Tensor, int)
        What the optimizer steps, and in which parameter group.
    batch, loss, groups
        As `AngularMonitor` takes them; `groups` wins over `batch`, which wins over the guess.

    Raises
    ------
    BadInput
        If a name is unknown or nothing is left.
    """
    audit, wanted = None, {}
    if groups is not None:
        wanted = {name: (members, "given") for name, members in check_groups(groups, found).items()}
    elif batch is not None:
        from sde_si.audit import audit as run

        audit = run(model, batch, loss)
        # what is invariant by itself is watched by itself; the rest in the joint groups that no such weight explains
        for group in audit.groups:
            members = [clean(name) for name in group.names]
            if all(name in found for name in members):
                wanted[group.label] = (members, group.level)
        require(
            bool(wanted),
            "batch",
            "a network with scale-invariant weights",
            "none that the optimizer steps",
            "groups=[...]",
        )
    else:
        wanted = {name: ([name], UNTESTED) for name, (p, _) in found.items() if p.ndim >= 2}
        require(bool(wanted), "model", "weights of two or more dimensions", "none", "groups=[...]")
    tensors: list[torch.Tensor] = []
    out = []
    for name, (members, level) in wanted.items():
        parts = [found[member] for member in members]
        first = len(tensors)
        tensors += [p for p, _ in parts]
        indices = tuple(range(first, len(tensors)))
        others = tuple(sorted({index for _, index in parts} - {parts[0][1]}))
        out.append(Group(name, indices, level, sum(p.numel() for p, _ in parts), parts[0][1], others))
    return out, tensors, audit
