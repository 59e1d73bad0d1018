"""The few things worth a warning, each with its number, what was expected, and the tolerance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.optim import Optimizer

from sde_si.monitor.history import Group, same
from sde_si.monitor.readings import Reading
from sde_si.monitor.verdicts import OFF
from sde_si.theory.forms import Rule

if TYPE_CHECKING:
    from sde_si.audit import Audit

RADIAL = 1e-3  # share of the gradient along the weights that a norm layer's eps may leave (theory.md 15.5)
RUNAWAY = 0.1  # growth of ln |w|^2 per relaxation time that is called running away
REPEATED = 0.2  # share of recorded steps at the largest gradient norm that is called clipping
SAME = 1e-4  # relative distance of two clipped gradient norms
SMALL = 1 << 18  # weights up to which all gradients are put into one vector: fewer calls
FEWEST = 10  # gradient norms below which nothing is said of clipping
SPENT = 7 / 4  # relaxation times that a start far off needs


@dataclass(frozen=True)
class Notice:
    """One warning.

    Attributes
    ----------
    kind : str
        ``setting``, ``clipping``, ``frozen``, ``eps``, ``budget``, ``norm``, ``untested``, ``law``,
        ``failure``.
    text : str
    number, expected, tolerance : float
        What was found, what would be fine, and how far from it is still fine; nan where there is no number.
    """

    kind: str
    text: str
    number: float = math.nan
    expected: float = math.nan
    tolerance: float = math.nan

    def __str__(self) -> str:
        if math.isnan(self.number):
            return self.text
        return f"{self.text}: {self.number:.3g}, expected {self.expected:.3g} within {self.tolerance:.3g}"


class Clipping:
    """Whether gradients are clipped by their total norm: clipped norms are equal, free ones never are."""

    def __init__(self) -> None:
        self.pending: list[torch.Tensor] = []
        self.norms: list[float] = []
        self.looks = 0

    @torch.no_grad()
    def look(self, tensors: Sequence[torch.Tensor]) -> None:
        """Keep the total gradient norm, on its device."""
        self.looks += 1
        grads = [p.grad for p in tensors if p.grad is not None and not p.grad.is_sparse]
        if not grads or len({g.device for g in grads}) > 1:
            return
        if sum(g.numel() for g in grads) <= SMALL and len({g.dtype for g in grads}) == 1:
            self.pending.append(torch.linalg.vector_norm(torch.cat([g.reshape(-1) for g in grads])).float())
        elif hasattr(torch.nn.utils, "get_total_norm"):  # torch 2.6: one call for all
            self.pending.append(torch.nn.utils.get_total_norm(grads).float())
        else:
            self.pending.append(torch.linalg.vector_norm(torch.stack([g.norm().float() for g in grads])))
        if len(self.pending) > 512:
            self.pending = self.pending[-256:]

    def share(self) -> tuple[float, float]:
        """Share of the last norms that equal the largest one, and that norm."""
        if self.pending:
            self.norms = [*self.norms, *torch.stack(self.pending).cpu().tolist()][-256:]
            self.pending = []
        norms = [n for n in self.norms if math.isfinite(n) and n > 0]
        if len(norms) < FEWEST:
            return math.nan, math.nan
        top = max(norms)
        return sum(n >= top * (1 - SAME) for n in norms) / len(norms), top


def _settings(optimizer: Optimizer, rules: Sequence[Rule]) -> list[Notice]:
    out = []
    for group, rule in zip(optimizer.param_groups, rules, strict=True):
        if rule.law is None:
            out.append(Notice("setting", f"no law is known for {rule.form}: angles are measured, not predicted"))
        if group.get("nesterov"):
            known = "predictions are those of its linear recursion, for independent gradients"
            said = known if rule.law is not None else "no law covers it here"
            out.append(Notice("setting", f"Nesterov momentum: {said}"))
        if group.get("dampening"):
            out.append(
                Notice("setting", "dampening: predictions take lr (1 - dampening)", group["dampening"], 0.0, 0.0)
            )
        if group.get("amsgrad"):
            out.append(Notice("setting", "AMSGrad: no law covers it; predictions are those of plain Adam"))
        if group.get("maximize"):
            out.append(
                Notice(
                    "setting",
                    "maximize: where gradients grow without end as the loss is climbed, there is no equilibrium",
                )
            )
    return list(dict.fromkeys(out))


def collect(
    optimizer: Optimizer,
    groups: Sequence[Group],
    audit: Audit | None,
    readings: Sequence[Reading],
    clipping: Clipping | None,
    total_steps: int | None,
) -> list[Notice]:
    """Everything to say now, each once.

    A group without weight decay is one notice, a group that cannot settle in time another; nobody is told to do two
    things that exclude each other, because nobody is told what to do.
    """
    from sde_si.monitor.optimizers import form_of, rule_of

    form = form_of(optimizer)
    rules = [rule_of(form, group) for group in optimizer.param_groups]
    out = _settings(optimizer, rules)
    if groups and all(group.level == "untested" for group in groups):
        out.append(
            Notice("untested", f"{len(groups)} weights are taken for scale-invariant untested: give batch= to test")
        )
    moved = {r.name for r in readings if r.rule.lr > 0 and not r.frozen}  # a schedule may have just come to its end
    frozen = [g.name for g in groups if rules[g.param_group].lr == 0 and g.name not in moved]
    if frozen:
        out.append(Notice("frozen", f"learning rate 0 in {_some(frozen)}: does not move, has no equilibrium"))
    rest = [r.name for r in readings if r.frozen and r.name not in frozen]
    if rest:
        out.append(Notice("frozen", f"{_some(rest)}: frozen, has not moved in the last records; it has no prediction"))
    mixed = [g.name for g in groups if any(not same(rules[i], rules[g.param_group]) for i in g.others)]
    if mixed:
        several = "their members stand in parameter groups of different weight decay or learning rate"
        out.append(Notice("setting", f"{_some(mixed)}: {several}; angles are measured, not predicted"))
    bare = [g.name for g in groups if rules[g.param_group].wd == 0 and g.name not in frozen + mixed]
    if bare and any(rule.law is not None for rule in rules):
        out.append(Notice("norm", f"no weight decay on {_some(bare)}: the norm grows and the angle falls for ever"))
    if audit is not None:
        broken = [g for g in audit.groups if g.radial > RADIAL]
        if broken:
            worst = max(broken, key=lambda g: g.radial)
            labels = _some([g.label for g in broken])
            text = f"eps of a norm layer breaks the scale invariance of {labels}: radial share of the gradient"
            out.append(Notice("eps", text, worst.radial, 0.0, RADIAL))
    if clipping is not None:
        share, norm = clipping.share()
        if share > REPEATED:
            text = (
                f"gradients are clipped at {norm:.4g}; equilibrium angles hold, norm and times do not: share of steps"
            )
            out.append(Notice("clipping", text, share, 0.0, REPEATED))
    out += _course(readings, total_steps)
    return out


def _course(readings: Sequence[Reading], total_steps: int | None) -> list[Notice]:
    out = []
    each = [r for r in readings if r.name != "all" or len(readings) == 1]
    if total_steps is not None:
        late = [r for r in each if math.isfinite(r.relaxation_steps) and SPENT * r.relaxation_steps > total_steps]
        late = [r for r in late if r.equilibrated is not True]
        if late:
            need = SPENT * max(r.relaxation_steps for r in late)
            text = f"no equilibrium within the run for {_some([r.name for r in late])}: steps needed"
            out.append(Notice("budget", text, need, total_steps, 0.0))
    steady = [r for r in each if r.rule.size in ("own", "moments")]  # of the others the verdict says it
    off = [r for r in steady if abs(r.ratio**2 - 1) > OFF and not r.low < 1 < r.high]
    if off:
        worst = max(off, key=lambda r: abs(math.log(r.ratio)))
        share = "not known" if math.isnan(worst.signal) else f"{worst.signal:.2g}"
        steps = "" if math.isnan(worst.step_size) else f", its steps {worst.step_size:.2g} of theirs"
        text = (
            f"{_some([r.name for r in off])}: not as the law of {worst.rule.form}, which assumes equilibrium and "
            f"zero-mean gradients (signal share {share}) of steady size{steps}: squared angle over the law's"
        )
        out.append(Notice("law", text, worst.ratio**2, 1.0, OFF))
    away = [
        r
        for r in each
        if r.rule.wd > 0 and r.rule.usable and r.norm_drift > RUNAWAY and r.step > 2 * SPENT * r.relaxation_steps
    ]
    if away:
        worst = max(away, key=lambda r: r.norm_drift)
        text = f"the norm of {_some([r.name for r in away])} still grows: ln |w|^2 per relaxation time"
        out.append(Notice("norm", text, worst.norm_drift, 0.0, RUNAWAY))
    return out


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
