"""`audit`: which parameters are scale-invariant, at which level, and how much the norm layers' eps breaks it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sde_si.audit.forward import Runner, faint_eps, untouched, unwrapped
from sde_si.audit.search import FAR, Search

if TYPE_CHECKING:
    from rich.table import Table

WITNESS = 1e-2  # radial share of the gradient at a generic point above which a group is not believed
NO_EFFECT, NONE = "no effect", "none"


@dataclass(frozen=True)
class Invariant:
    """One scale-invariant group.

    Attributes
    ----------
    names : tuple of str
        Parameters that are rescaled together.
    level : str
        ``filter`` (each row by itself, too), ``layer`` (one tensor), ``joint`` (several tensors, only together).
    count : int
        Number of weights.
    radial : float
        Share of the gradient along the weights, at the model's own weights and eps: what eps breaks (theory.md 15.5).
    witness : float
        The same at a random point without eps: zero to rounding.
    """

    names: tuple[str, ...]
    level: str
    count: int
    radial: float
    witness: float

    @property
    def label(self) -> str:
        """Short name for tables."""
        return self.names[0] if len(self.names) == 1 else f"{self.names[0]} + {len(self.names) - 1} more"


@dataclass(frozen=True)
class Audit:
    """What `audit` found.

    Attributes
    ----------
    groups : tuple of Invariant
        Disjoint groups, the finest level at which each is invariant.
    levels : dict of str to str
        Every parameter: ``filter``, ``layer``, ``joint``, ``none``, or ``no effect`` where its value changes nothing.
    counts : dict of str to int
        Weights of every parameter.
    precision : str
        Type of number in which it was tested.
    """

    groups: tuple[Invariant, ...]
    levels: dict[str, str]
    counts: dict[str, int]
    precision: str

    @property
    def share(self) -> float:
        """Share of all weights that are scale-invariant."""
        total = sum(self.counts.values())
        return sum(group.count for group in self.groups) / total if total else 0.0

    def table(self) -> Table:
        """One line per parameter."""
        from rich.box import SIMPLE_HEAD
        from rich.markup import escape
        from rich.table import Table

        out = Table(title=self._title(), box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
        out.add_column("parameter", overflow="fold")
        for name in ("weights", "invariant", "radial share"):
            out.add_column(name, justify="right")
        out.add_column("together with", overflow="fold")
        for name, count, level, radial, others in self._cells():
            out.add_row(escape(name), count, level, radial, escape(others))
        return out

    def _title(self) -> str:
        total = sum(self.counts.values())
        return f"{self.share:.1%} of {total:,} weights are scale-invariant (tested in {self.precision})"

    def _cells(self) -> list[tuple[str, str, str, str, str]]:
        by_name = {name: group for group in self.groups for name in group.names}
        out = []
        for name, level in self.levels.items():
            group = by_name.get(name)
            others = ", ".join(n for n in group.names if n != name) if group else ""
            out.append((name, f"{self.counts[name]:,}", level, f"{group.radial:.1e}" if group else "-", others))
        return out

    def __rich_console__(self, console: Any, options: Any) -> Any:
        yield self.table()

    def __str__(self) -> str:
        import io

        from rich.console import Console

        text = io.StringIO()
        Console(file=text, width=120).print(self.table())
        return text.getvalue()

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in cells) + "</tr>" for cells in self._cells())
        head = "".join(
            f"<th>{name}</th>" for name in ("parameter", "weights", "invariant", "radial share", "together with")
        )
        return f"<table><caption>{escape(self._title())}</caption><tr>{head}</tr>{rows}</table>"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        groups = [
            {"names": list(g.names), "level": g.level, "count": g.count, "radial": g.radial, "witness": g.witness}
            for g in self.groups
        ]
        return {"share": self.share, "precision": self.precision, "groups": groups, "levels": dict(self.levels)}


def audit(model: torch.nn.Module, batch: Any, loss: Callable[..., torch.Tensor] | None = None) -> Audit:
    """Find the scale-invariant parameters of a model by rescaling them and comparing outputs.

    The test runs in float64 where the model allows, in training mode, at a random point near the model's weights (a
    bias that starts at zero is not zero later), with the eps of norm layers made negligible. A rescaling by powers of
    two that changes outputs by no more than rounding is an invariance. Radial gradients are the second witness.
    Weights, buffers, modes and generators are left exactly as they were.

    Parameters
    ----------
    model : Module
        On any device.
    batch : Tensor, (inputs, targets) or mapping
        What one training step sees; some 16 samples are enough.
    loss : callable, optional
        ``loss(outputs, targets)`` where the last normalisation is inside the loss. Without it, outputs are compared.

    Returns
    -------
    Audit

    Raises
    ------
    BadInput
        If the model does not run on the batch.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2))
    >>> audit(net, torch.randn(16, 4)).levels["0.weight"]
    'filter'
    """
    model = unwrapped(model)
    with untouched(model):
        run = Runner(model, batch, loss)
        names = [name for name, p in run.parameters.items() if p.is_floating_point() and p.numel()]
        with faint_eps(model):
            search = Search(run)
            levels = dict.fromkeys(names, NONE)
            found: list[tuple[tuple[str, ...], str]] = []
            for name in names:
                if not search.has_effect(name):
                    levels[name] = NO_EFFECT
                elif (level := search.level(name)) is not None:
                    found.append(((name,), level))
            alone = {name for members, _ in found for name in members}
            rest = [name for name in names if name not in alone and levels[name] == NONE]
            together = search.regrouped([name for name in names if name in alone], rest)
            moved = {name for members in together for name in members}
            found = [(members, level) for members, level in found if not moved & set(members)]
            together += search.joint([name for name in rest if name not in moved])
            found += [(tuple(members), "joint") for members in together]
            # where the candidates are long, an eps in the network's own code is too faint to raise doubts
            far = {name: search.point[name] * FAR[-1] for members, _ in found for name in members}
            witness = _shares(search, search.point | far, [members for members, _ in found])
        radial = _shares(search, run.parameters, [members for members, _ in found])
    groups = []
    for (members, level), share, second in zip(found, radial, witness, strict=True):
        if second > WITNESS:
            continue
        count = sum(run.parameters[name].numel() for name in members)
        groups.append(Invariant(members, level, count, share, second))
        levels |= dict.fromkeys(members, level)
    counts = {name: run.parameters[name].numel() for name in names}
    return Audit(tuple(groups), levels, counts, str(run.dtype).removeprefix("torch."))


def _shares(search: Search, point: dict[str, torch.Tensor], groups: list[tuple[str, ...]]) -> list[float]:
    """|<w, g>|/(|w||g|) of each group, 0 where there is no gradient."""
    names = [name for members in groups for name in members]
    if not names:
        return []
    along, weight, gradient = search.radial(point, names)
    at = {name: i for i, name in enumerate(names)}
    out = []
    for members in groups:
        rows = [at[name] for name in members]
        size = float((weight[rows] ** 2).sum() * (gradient[rows] ** 2).sum()) ** 0.5
        out.append(abs(float(along[rows].sum())) / size if size > 0 else 0.0)
    return out
