"""The part that runs inside the loop: when to copy, when to compare, and bringing the scalars to the host."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer

from sde_si.monitor.history import EPOCH, Epoch, Group, History, Row
from sde_si.monitor.notices import FEWEST, Clipping
from sde_si.monitor.optimizers import RuleReader, form_of, root_second_moment
from sde_si.monitor.probe import Pending, Probe
from sde_si.terminal import say
from sde_si.theory.forms import Rule

MOST_FAILURES = 5
LOOK = 4  # every so many recorded steps the gradients' total norm is looked at, once there are enough to judge


def _untraced(hook: Callable[..., None]) -> Callable[..., None]:
    """Keep torch.compile out of a hook where somebody compiles the optimizer's step.

    The mark that torch.compiler.disable sets, without its wrapper's time on every step. It holds for the hook itself
    and not for what the hook calls: that is `_eager`.
    """
    hook._torchdynamo_disable = True  # pyright: ignore[reportFunctionMemberAccess]
    return hook


_eager: Callable[..., Any] = torch.compiler.disable  # with all that is called; some microseconds, so not on most steps


class Windows:
    """Step hooks of one optimizer and the windows that they open and close.

    Recorded steps are k = 1, 1 + every, ...: the weights before step k - 1, before step k and after it are compared.
    Windows of longer lags begin at recorded steps; those of epochs at the epochs' first steps.

    Parameters
    ----------
    optimizer : Optimizer
    groups : list of Group
    tensors : list of Tensor
        What the groups' members index.
    steps_per_epoch : int or None
    every, flush_every : int
    lags : sequence of int
    clipping : Clipping or None
    on_full : callable
        Called when `flush_every` windows are waiting on the device.
    quiet : bool
        Errors within a step are kept in `failures`, and not said on stderr.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        groups: list[Group],
        tensors: list[torch.Tensor],
        *,
        steps_per_epoch: int | None,
        every: int,
        lags: Sequence[int],
        flush_every: int,
        clipping: Clipping | None,
        on_full: Callable[[], None],
        quiet: bool = False,
    ) -> None:
        self.optimizer, self.form, self.groups = optimizer, form_of(optimizer), groups
        self.steps_per_epoch, self.every, self.flush_every = steps_per_epoch, every, flush_every
        self.lags = sorted({int(lag) for lag in lags} - {1})
        self.history, self.probe = History(groups, steps_per_epoch), Probe(tensors)
        self.clipping, self.on_full, self.quiet = clipping, on_full, quiet
        self.failures: list[str] = []
        self.step = 0
        self.epoch_number, self._epoch_first, self._epoch_copied = 1, 0, False
        self._starts: dict[int, tuple[int, int, tuple[Rule, ...], dict[int, torch.Tensor]]] = {}
        self._first_end = math.inf
        self._before = self._recording = -2
        self._rules: tuple[Rule, ...] = ()
        self._open: list[FrameType] = []  # callers of the steps that are under way
        self._lrs: dict[int, torch.Tensor] = {}
        self._initial: list[torch.Tensor] | None = None
        self._asked_initial = False
        self._reader = RuleReader(optimizer, self.form)
        self._stepped = [p for group in optimizer.param_groups for p in group["params"]]
        self._hooks: list[Any] = [
            optimizer.register_step_pre_hook(self._ahead),
            optimizer.register_step_post_hook(self._after),
        ]

    @_untraced
    def _ahead(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:  # noqa: ARG002
        caller = sys._getframe(1)
        if self._open:
            if _within(self._open[-1], caller):
                self._open.append(caller)
                return  # a step that calls its base class's step is one step
            self._open.clear()  # the step before ended in an exception
        self._open.append(caller)
        k = self.step
        if k % self.every > 1 and k != self._epoch_first and self._asked_initial:
            return  # most steps: nothing begins
        try:
            self._open_windows()
        except Exception as error:
            self._fail(error)

    @_eager
    def _fail(self, error: Exception) -> None:
        """Take note of an error within a step, once; the step goes on."""
        text = f"within a step: {type(error).__name__}: {error}"
        if text not in self.failures and len(self.failures) < MOST_FAILURES:
            self.failures.append(text)
            say(f"AngularMonitor, {text}; the training goes on", self.quiet)

    @_eager
    @torch.no_grad()
    def _open_windows(self) -> None:
        k, probe = self.step, self.probe
        if self._initial is None and self.history.initial is None:
            self._initial = probe.norms()
        self._asked_initial = True
        if k == self._epoch_first and not self._epoch_copied:
            probe.copy(EPOCH)
            self._epoch_copied = True
        if self.every > 1 and k % self.every == 0:
            probe.copy("before")
            self._before = k
        if k % self.every != 1 % self.every:
            return
        if self.every == 1 and self._recording == k - 1:
            if "before" not in probe.copies:
                probe.copy("before")
            probe.swap("before", "now")
            self._before = k - 1
        probe.copy("now")
        self._recording = k
        self._rules, self._lrs = self._reader.read()
        record = k // self.every
        for lag in self.lags:
            if record % math.ceil(lag / self.every) == 0:
                probe.copy_again(lag, "now")
                self._starts[lag] = (k, self.epoch_number, self._rules, self._lrs)
                self._first_end = min(self._first_end, k + lag)
        if self.clipping is not None and (record % LOOK == 0 or self.clipping.looks < FEWEST):
            self.clipping.look(self._stepped)

    @_untraced
    def _after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:  # noqa: ARG002
        if self._open:
            self._open.pop()
        if self._open:
            return
        k = self.step
        self.step += 1
        ends = self._recording == k or self._first_end <= self.step or len(self.probe.pending) >= self.flush_every
        if not ends and self.step - self._epoch_first != self.steps_per_epoch:
            return  # most steps: nothing ends
        try:
            self._close_windows(k)
        except Exception as error:
            self._fail(error)

    @_eager
    @torch.no_grad()
    def _close_windows(self, k: int) -> None:
        probe = self.probe
        if self._recording == k:
            values = probe.measure("now", "before" if self._before == k - 1 else None)
            extra = self._second_moments() if any(rule.size == "moments" for rule in self._rules) else []
            probe.pending.append(Pending(k, 1, self.epoch_number, self._rules, values, extra, self._lrs))
        for lag in [lag for lag, (start, *_) in self._starts.items() if self.step - start == lag]:
            start, epoch, rules, lrs = self._starts.pop(lag)
            probe.pending.append(Pending(start, lag, epoch, rules, probe.measure(lag), [], lrs))
        self._first_end = min((start + lag for lag, (start, *_) in self._starts.items()), default=math.inf)
        if self.steps_per_epoch and self.step - self._epoch_first == self.steps_per_epoch:
            self.epoch()
        if len(probe.pending) >= self.flush_every:
            self.on_full()

    def _second_moments(self) -> list[torch.Tensor | None]:
        """`probe.EXTRA` sums per tensor of the step that was recorded; None where Adam has no state yet."""
        rules = {m: self._rules[g.param_group] for g in self.groups for m in g.members}
        out: list[torch.Tensor | None] = []
        for i, t in enumerate(self.probe.tensors):
            root = root_second_moment(self.optimizer, t, rules[i].beta2, self.step)
            if root is not None:
                sums = root.sum(dtype=torch.float32), self.probe.weighted("now", i, root).float()
                out.append(torch.stack(sums))
            else:
                out.append(None)
        return out

    def epoch(self) -> None:
        """Say that an epoch has ended; not needed with `steps_per_epoch`, harmless with it."""
        if self.step == self._epoch_first:
            return
        if self._epoch_copied:  # not after a resumption within the epoch
            rules, lrs = self._reader.read()
            with torch.no_grad():
                values = self.probe.measure(EPOCH)
            self.probe.pending.append(Pending(self._epoch_first, EPOCH, self.epoch_number, rules, values, [], lrs))
        if self._recording < self._epoch_first:  # an epoch in which no step was recorded
            self._rules, self._lrs = self._reader.read()
        self._close_epoch(self.epoch_number, self.step - self._epoch_first)
        self.epoch_number += 1
        self._epoch_first, self._epoch_copied = self.step, False

    def _close_epoch(self, number: int, steps: int) -> None:
        epoch = self.history.epochs.setdefault(number, Epoch())
        epoch.steps = steps
        if self._rules:
            rules = [self._rules[group.param_group] for group in self.groups]
            epoch.lr, epoch.momentum = rules[0].lr, rules[0].momentum
            lrs = [rule.lr for rule in rules]
            epoch.lrs = np.array([*lrs, lrs[0] if len(set(lrs)) == 1 else math.nan])

    def added(self) -> int:
        """Parameters that the optimizer has been given since the start."""
        known = {id(p) for p in self._stepped}
        return sum(id(p) not in known for group in self.optimizer.param_groups for p in group["params"])

    def collect(self) -> None:
        """Bring what is waiting on the device to the host."""
        history = self.history
        if self._initial is not None:
            squares = torch.stack([n.cpu() for n in self._initial]).double().numpy()
            history.initial, self._initial = history.by_group(squares[:, None])[:, 0], None
        found, values, extra = self.probe.collect()
        if not found:
            return
        values, extra = (history.by_group(np.swapaxes(of, 0, 1)) for of in (values, extra))
        rows = []
        for i, pending in enumerate(found):
            rules = pending.rules
            if pending.lrs:
                rules = tuple(
                    dataclasses.replace(rule, lr=float(pending.lrs[j])) if j in pending.lrs else rule
                    for j, rule in enumerate(rules)
                )
            rows.append(Row(pending.step, pending.epoch, history.snapshot(rules), values[:, i], extra[:, i]))
        history.add([pending.lag for pending in found], rows)

    def remove(self) -> None:
        """Take the hooks off and free the copies."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self.collect()
        self.probe.copies.clear()
        self._starts.clear()

    def state(self) -> dict[str, Any]:
        """What was measured and where the count stands, as numbers, lists and arrays."""
        self.collect()
        return {"step": self.step, "epoch": (self.epoch_number, self._epoch_first), "history": self.history.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`; windows that were open are dropped."""
        self.history.restore(state["history"])
        self.step = state["step"]
        self.epoch_number, self._epoch_first = state["epoch"]
        self._epoch_copied, self._before, self._recording = False, -2, -2
        self._starts, self._initial, self._first_end = {}, None, math.inf
        self.probe.forget()


@_eager
def _within(outer: FrameType, frame: FrameType | None) -> bool:
    """Whether a frame was called from within another."""
    while frame is not None and frame is not outer:
        frame = frame.f_back
    return frame is not None
