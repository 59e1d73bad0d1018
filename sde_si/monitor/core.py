"""AngularMonitor: the theory inside anybody's training loop, through the optimizer's step hooks and nothing else."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch.optim import Optimizer

from sde_si.errors import require
from sde_si.hyperparameters import check_count
from sde_si.monitor import notices
from sde_si.monitor.groups import choose
from sde_si.monitor.history import EPOCH, Epoch, History, Row
from sde_si.monitor.optimizers import form_of, names, rule_of, second_moment
from sde_si.monitor.probe import Pending, Probe
from sde_si.monitor.readings import Reading, readings
from sde_si.monitor.sinks import Sink, Writer
from sde_si.terminal import say

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from sde_si.monitor.report import Summary


class AngularMonitor:
    """Watch how fast the scale-invariant weights of a network turn, beside what theory predicts.

    It reads weights before and after optimizer steps, writes nothing, and needs nothing in the loop. It is removed by
    `remove` or at the end of a ``with`` block.

    Parameters
    ----------
    model : Module
        Compiled, or wrapped for data-parallel training, is fine; sharded is not.
    optimizer : Optimizer
        SGD, AdamW, Adam, Lion and SGDW have predictions; others are measured only.
    steps_per_epoch : int, optional
        Optimizer steps per epoch. Without it, call `epoch` at the end of each epoch; epochs are then as long as they
        are.
    batch : optional
        One training batch as `sde_si.audit.audit` takes it: the scale-invariant groups are then found by test.
    loss : callable, optional
        For the audit.
    groups : mapping of str to sequence of str, or sequence of str, optional
        Groups by parameter names. Without this and without `batch`, every weight of two or more dimensions is taken
        for a group, untested.
    every : int
        A step is recorded each `every` steps.
    lags : sequence of int
        Lags in steps at which angles are measured, besides 1; each costs one copy of the weights.
    total_steps : int, optional
        Length of the run; then a group that cannot come to equilibrium in it is named.
    log : path, optional
        JSONL file, one line per flush, appended to.
    sinks : sequence of callables
        Called at each flush with a dict of scalars and the step.
    flush_every : int
        Records between two transfers to the host.
    watch_clipping : bool
        Look at the total gradient norm of recorded steps, only to see whether clipping is active.
    quiet : bool
        Say nothing on stderr.

    Raises
    ------
    BadInput
        If parameters are sharded, names are unknown, or nothing is left to watch.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-2)
    >>> with AngularMonitor(model, optimizer, groups=["0.weight"], quiet=True) as monitor:
    ...     for _ in range(30):
    ...         optimizer.zero_grad()
    ...         model(torch.randn(16, 8)).square().mean().backward()
    ...         optimizer.step()
    >>> monitor.step
    30
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: Optimizer,
        steps_per_epoch: int | None = None,
        *,
        batch: Any = None,
        loss: Callable[..., torch.Tensor] | None = None,
        groups: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
        every: int = 10,
        lags: Sequence[int] = (10, 100),
        total_steps: int | None = None,
        log: str | Path | None = None,
        sinks: Sequence[Sink] = (),
        flush_every: int = 50,
        watch_clipping: bool = True,
        quiet: bool = False,
    ) -> None:
        for name, value in {"every": every, "flush_every": flush_every}.items():
            check_count(name, value, advice="10")
        for name, value in {"steps_per_epoch": steps_per_epoch, "total_steps": total_steps}.items():
            if value is not None:
                check_count(name, value, advice="391")
        for lag in lags:
            check_count("lags", lag, advice="(10, 100)")
        self.optimizer, self.form = optimizer, form_of(optimizer)
        found = names(model, optimizer)
        self.groups, tensors, self.audit = choose(model, found, batch, loss, groups)
        self.steps_per_epoch, self.every, self.flush_every = steps_per_epoch, every, flush_every
        self.lags, self.total_steps = sorted({int(lag) for lag in lags} - {1}), total_steps
        self.history = History(self.groups)
        self.probe = Probe(tensors)
        self.clipping = notices.Clipping() if watch_clipping else None
        self.step = 0
        self.epoch_number, self._epoch_first, self._epoch_copied = 1, 0, False
        self._starts: dict[int, tuple[int, int, tuple, dict]] = {}
        self._before = self._recording = -2
        self._rules: tuple = ()
        self._open: list[int] = []  # stack depths of the steps that are under way
        self._lrs: dict[int, torch.Tensor] = {}
        self._initial: list[torch.Tensor] | None = None
        self._stepped = [p for group in optimizer.param_groups for p in group["params"]]
        self._writer = Writer(log, sinks)
        self._hooks = [
            optimizer.register_step_pre_hook(self._ahead),
            optimizer.register_step_post_hook(self._after),
        ]
        say(self.memory(), quiet)
        for notice in self.notices():
            say(f"note: {notice}", quiet)

    # -- the loop -----------------------------------------------------------------------------------------------

    @torch.compiler.disable
    def _ahead(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:  # noqa: ARG002
        depth = _stack_depth()
        self._open = [*(d for d in self._open if d < depth), depth]
        if len(self._open) > 1:
            return  # a step that calls its base class's step is one step
        k, probe = self.step, self.probe
        if self._initial is None and self.history.initial is None:
            self._initial = probe.norms()
        if k == self._epoch_first and not self._epoch_copied:
            probe.copy(EPOCH)
            self._epoch_copied = True
        if self.every > 1 and k % self.every == 0:
            probe.copy("before")
            self._before = k
        if k % self.every != 1 % self.every:
            return
        if self.every == 1 and self._recording == k - 1:
            probe.copies.setdefault("before", probe.copies["now"].like(probe.tensors))
            probe.swap("before", "now")
            self._before = k - 1
        probe.copy("now")
        self._recording = k
        self._rules, self._lrs = self._read_rules()
        record = k // self.every
        for lag in self.lags:
            if record % math.ceil(lag / self.every) == 0:
                probe.copy(lag)
                self._starts[lag] = (k, self.epoch_number, self._rules, self._lrs)
        if self.clipping is not None:
            self.clipping.look(self._stepped)

    @torch.compiler.disable
    def _after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:  # noqa: ARG002
        self._open = self._open[:-1]
        if self._open:
            return
        k, probe = self.step, self.probe
        self.step += 1
        if self._recording == k:
            values = probe.measure("now", "before" if self._before == k - 1 else None)
            extra = self._second_moments() if self.form == "adam" else []
            probe.pending.append(Pending(k, 1, self.epoch_number, self._rules, values, extra, self._lrs))
        for lag, (start, epoch, rules, lrs) in list(self._starts.items()):
            if self.step - start == lag:
                probe.pending.append(Pending(start, lag, epoch, rules, probe.measure(lag), [], lrs))
                del self._starts[lag]
        if self.steps_per_epoch and self.step - self._epoch_first == self.steps_per_epoch:
            self.epoch()
        if len(probe.pending) >= self.flush_every:
            self.flush()

    def _read_rules(self) -> tuple[tuple, dict[int, torch.Tensor]]:
        groups = self.optimizer.param_groups
        kept = {
            i: group["lr"].detach().clone()
            for i, group in enumerate(groups)
            if isinstance(group.get("lr"), torch.Tensor) and group["lr"].device.type != "cpu"
        }
        return tuple(rule_of(self.form, group) for group in groups), kept

    def _second_moments(self) -> list[torch.Tensor | None]:
        groups = {m: self._rules[g.param_group] for g in self.groups for m in g.members}
        return [second_moment(self.optimizer, t, groups[i].beta2, self.step) for i, t in enumerate(self.probe.tensors)]

    def epoch(self) -> None:
        """Say that an epoch has ended; not needed with `steps_per_epoch`, harmless with it."""
        if self.step == self._epoch_first:
            return
        if self._epoch_copied:  # not after a resumption within the epoch
            rules, lrs = self._read_rules()
            values = self.probe.measure(EPOCH)
            self.probe.pending.append(Pending(self._epoch_first, EPOCH, self.epoch_number, rules, values, [], lrs))
        self._close_epoch(self.epoch_number, self.step - self._epoch_first)
        self.epoch_number += 1
        self._epoch_first, self._epoch_copied = self.step, False

    def _close_epoch(self, number: int, steps: int) -> None:
        epoch = self.history.epochs.setdefault(number, Epoch())
        rule = self._rules[self.groups[0].param_group] if self._rules else None
        epoch.steps = steps
        if rule is not None:
            epoch.lr, epoch.momentum = rule.lr, rule.momentum

    def flush(self) -> None:
        """Bring what was measured to the host, and write log and sinks."""
        self._collect()
        if self._writer and self.history.rows.get(1):
            self._writer.write(self.step, self.epoch_number, readings(self.history))

    def _collect(self) -> None:
        history = self.history
        if self._initial is not None:
            squares = torch.stack([n.cpu() for n in self._initial]).double().numpy()
            history.initial, self._initial = history.by_group(squares[:, None])[:, 0], None
        for pending, tensors, extra in self.probe.collect():
            rules = tuple(
                dataclasses.replace(rule, lr=float(pending.lrs[i])) if i in pending.lrs else rule
                for i, rule in enumerate(pending.rules)
            )
            sums = history.by_group(np.column_stack([tensors, extra]))
            row = Row(pending.step, pending.epoch, history.snapshot(rules), sums[:, :-1], sums[:, -1])
            history.add(pending.lag, row)

    # -- what it found ------------------------------------------------------------------------------------------

    def readings(self) -> list[Reading]:
        """One `Reading` per group and, with more than one, last of all together."""
        self._collect()
        return readings(self.history)

    def summary(self) -> Summary:
        """Measured beside predicted: rich table, HTML in a notebook, JSON."""
        from sde_si.monitor.report import Summary

        return Summary(self.readings(), self.notices(), self.step)

    def record(self) -> xr.Dataset:
        """Closed epochs as a record of the project's schema.

        Raises
        ------
        BadInput
            If no epoch has been closed.
        """
        from sde_si.monitor.report import record

        found = self.readings()
        require(
            any(epoch.whole is not None for epoch in self.history.epochs.values()),
            "steps_per_epoch",
            "a whole epoch",
            f"{self.step} steps and none",
            "steps_per_epoch=..., or monitor.epoch() at each epoch's end",
        )
        return record(self.history, found, self.form)

    def plot(self) -> Figure:
        """Angle over its prediction, norms and angles of the groups against steps."""
        from sde_si.monitor.figure import figure

        self._collect()
        return figure(self.history)

    def notices(self) -> list[notices.Notice]:
        """What a reader must know before believing the table."""
        self._collect()
        found = readings(self.history)
        return notices.collect(self.optimizer, self.groups, self.audit, found, self.clipping, self.total_steps)

    def memory(self) -> str:
        """How much it keeps and where."""
        copies = 2 + len(self.lags) + 1
        size = copies * self.probe.copy_bytes / 2**20
        devices = ", ".join(sorted({str(t.device) for t in self.probe.tensors}))
        count = sum(group.count for group in self.groups)
        return (
            f"AngularMonitor: {len(self.groups)} groups, {count:,} weights; "
            f"up to {copies} copies of them, {size:.3g} MiB on {devices}"
        )

    # -- life ---------------------------------------------------------------------------------------------------

    def remove(self) -> None:
        """Take the hooks off and free the copies; what was measured stays."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._collect()
        self.probe.copies.clear()
        self._starts.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: what was measured and where the count stands; no copies of weights."""
        self._collect()
        return _to_tensors(
            {"step": self.step, "epoch": (self.epoch_number, self._epoch_first), "history": self.history.state()}
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; windows that were open when it was written are dropped.

        Raises
        ------
        BadInput
            If the state is of other groups.
        """
        state = _to_arrays(state)
        here = [group.name for group in self.groups]
        require(state["history"]["groups"] == here, "state", f"groups {here}", state["history"]["groups"])
        self.history.restore(state["history"])
        self.step = state["step"]
        self.epoch_number, self._epoch_first = state["epoch"]
        self._epoch_copied, self._before, self._recording = False, -2, -2
        self._starts, self._initial = {}, None
        self.probe.pending = []


def _stack_depth() -> int:
    frame, depth = sys._getframe(), 0  # noqa: SLF001
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


def _to_tensors(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, dict):
        return {key: _to_tensors(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_tensors(inner) for inner in value)
    return value


def _to_arrays(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.cpu().numpy()
    if isinstance(value, dict):
        return {key: _to_arrays(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_arrays(inner) for inner in value)
    return value
