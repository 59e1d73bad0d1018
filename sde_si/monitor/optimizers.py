"""Reading a torch optimizer: its rule per parameter group, and its float32 weights by name."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.optim import Optimizer

from sde_si.errors import BadInput
from sde_si.theory.forms import FORMS, Rule

FORMS_BY_CLASS = {name: form for form, law in FORMS.items() for name in law.classes}
VARIANTS = ("caution", "corrected_weight_decay")  # options of timm's that no law covers
PREFIXES = ("_orig_mod.", "module.")  # torch.compile, DistributedDataParallel


def unwrapped(optimizer: Optimizer) -> Optimizer:
    """The optimizer inside wrappers such as accelerate's and Lightning's, whose own steps call it."""
    while isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = inner
    return optimizer


def form_of(optimizer: Optimizer) -> str:
    """Key of `sde_si.theory.forms.FORMS`, or the class's own name where no law is known."""
    for cls in type(optimizer).__mro__:
        if cls.__name__ in FORMS_BY_CLASS:
            return FORMS_BY_CLASS[cls.__name__]
    return type(optimizer).__name__


def number(value: Any) -> float:
    """A hyperparameter as a float; a tensor's on an accelerator is read when it is asked for (nan here)."""
    if isinstance(value, torch.Tensor):
        return float(value) if value.device.type == "cpu" else math.nan
    return float(value)


def rule_of(form: str, group: dict[str, Any]) -> Rule:
    """What the optimizer will do with one of its parameter groups now."""
    lr, wd = number(group.get("lr", math.nan)), number(group.get("weight_decay", 0.0))
    for name in VARIANTS:
        form += f" with {name}" if group.get(name) else ""
    if group.get("decoupled_weight_decay") and form == "adam":
        form = "adamw"
    if "betas" in group:
        beta1, beta2 = (number(b) for b in group["betas"][:2])
        return Rule(form, lr, wd, beta1, beta2)
    momentum = number(group.get("momentum", 0.0))
    damping = 1 - number(group.get("dampening", 0.0)) if momentum else 1.0
    if group.get("nesterov") and momentum:
        form = "nesterov" if form == "sgd" else f"{form} with Nesterov momentum"  # no law is known of the latter
    return Rule(form, lr, wd, momentum, damping=damping)


def clean(name: str) -> str:
    """A parameter's name without what wrappers put before it."""
    while name.startswith(PREFIXES):
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
    return name


def names(model: torch.nn.Module, optimizer: Optimizer) -> dict[str, tuple[torch.Tensor, int]]:
    """Every tensor that the optimizer steps, by name, with the index of its parameter group.

    Where the optimizer steps float32 copies of the model's weights (master weights), these are matched to the
    model's parameters by order and shape.

    Raises
    ------
    BadInput
        If the model and the optimizer have nothing in common, or if parameters are sharded.
    """
    known = {id(p): clean(name) for name, p in model.named_parameters()}
    stepped = [(p, i) for i, group in enumerate(optimizer.param_groups) for p in group["params"]]
    for p, _ in stepped:
        sharded = hasattr(p, "_local_tensor") or type(p).__name__ in ("DTensor", "FlatParameter")
        if sharded or type(p.data).__name__ == "DTensor":
            raise BadInput(
                "model",
                "whole parameters",
                "parameters sharded over processes (FSDP, DTensor)",
                "DistributedDataParallel, which keeps them whole",
            )
    found = {known[id(p)]: (p, i) for p, i in stepped if id(p) in known}
    masters = [(p, i) for p, i in stepped if id(p) not in known]
    rest = [(name, p) for name, p in model.named_parameters() if p.requires_grad and clean(name) not in found]
    if masters and [tuple(p.shape) for p, _ in masters] == [tuple(p.shape) for _, p in rest]:
        found |= {clean(name): m for (name, _), m in zip(rest, masters, strict=True)}
    if not found:
        raise BadInput("optimizer", "an optimizer of this model's parameters", "one that steps none of them")
    return found


def root_second_moment(optimizer: Optimizer, p: torch.Tensor, beta2: float, steps: int) -> torch.Tensor | None:
    """Root of Adam's second-moment estimate of one tensor, on its device; None before the first step."""
    state = optimizer.state.get(p, {})
    if "exp_avg_sq" not in state:
        return None
    step = state.get("step", steps)
    if isinstance(step, torch.Tensor):
        step = float(step) if step.device.type == "cpu" else steps
    correction = 1 - beta2 ** max(float(step), 1.0)
    return state["exp_avg_sq"].sqrt() / math.sqrt(correction)


PLAIN = (float, int, bool, type(None))
# what a rule is made of; anything but plain numbers is read each time
HYPER = ("lr", "weight_decay", "momentum", "dampening", "nesterov", "betas", "decoupled_weight_decay", *VARIANTS)


class RuleReader:
    """The rules of an optimizer's parameter groups, made anew only where its hyperparameters have changed."""

    def __init__(self, optimizer: Optimizer, form: str) -> None:
        self.optimizer, self.form = optimizer, form
        self._raw: list[tuple[Any, ...]] = []
        self._known_rules: tuple[Rule, ...] = ()

    def read(self) -> tuple[tuple[Rule, ...], dict[int, torch.Tensor]]:
        """Rule of every parameter group, and learning rates that are kept on an accelerator."""
        groups = self.optimizer.param_groups
        raw = [tuple(group.get(key) for key in HYPER) for group in groups]
        plain = all(
            type(v) in PLAIN for of in raw for value in of for v in (value if type(value) is tuple else (value,))
        )
        if plain and raw == self._raw:
            return self._known_rules, {}
        kept = {
            i: group["lr"].detach().clone()
            for i, group in enumerate(groups)
            if isinstance(group.get("lr"), torch.Tensor) and group["lr"].device.type != "cpu"
        }
        self._raw, self._known_rules = raw if plain else [], tuple(rule_of(self.form, group) for group in groups)
        return self._known_rules, kept
