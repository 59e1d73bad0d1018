"""AngularMonitor: the theory inside anybody's training loop, through the optimizer's step hooks and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch.optim import Optimizer

from sde_si.errors import BadInput, require
from sde_si.monitor import notices
from sde_si.monitor.checkpoint import to_arrays, to_tensors
from sde_si.monitor.checks import STATE, check_counts, check_lists, check_state
from sde_si.monitor.groups import choose
from sde_si.monitor.notices import Clipping
from sde_si.monitor.optimizers import names, unwrapped
from sde_si.monitor.readings import Reading, readings
from sde_si.monitor.sinks import Sink, Writer
from sde_si.monitor.windows import Windows
from sde_si.terminal import say

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from sde_si.monitor.report import Summary

ORDER = "AngularMonitor(model, optimizer)"


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
        check_counts(every, flush_every, steps_per_epoch, total_steps)
        check_lists(lags, sinks)
        require(isinstance(model, torch.nn.Module), "model", "a torch.nn.Module", type(model).__name__, ORDER)
        optimizer = unwrapped(optimizer)
        require(isinstance(optimizer, Optimizer), "optimizer", "a torch optimizer", type(optimizer).__name__, ORDER)
        found = names(model, optimizer)
        self.groups, tensors, self.audit = choose(model, found, batch, loss, groups)
        self.optimizer, self.total_steps = optimizer, total_steps
        self._writer, self._written = Writer(log, sinks), -1
        self._clipping = Clipping() if watch_clipping else None
        self._windows = Windows(
            optimizer, self.groups, tensors, steps_per_epoch=steps_per_epoch, every=every, lags=lags,
            flush_every=flush_every, clipping=self._clipping, on_full=self.flush, quiet=quiet,
        )  # fmt: skip
        self.history, self.probe = self._windows.history, self._windows.probe
        say(self.memory(), quiet)
        for notice in self.notices():
            say(f"note: {notice}", quiet)

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self._windows.step

    def epoch(self) -> None:
        """Say that an epoch has ended; not needed with `steps_per_epoch`, harmless with it."""
        self._windows.epoch()

    def flush(self) -> None:
        """Bring what was measured to the host, and write log and sinks."""
        self._windows.collect()
        if self._writer and self.history.rows.get(1) and self._written != self.step:
            self._written = self.step
            self._writer.write(self.step, self._windows.epoch_number, readings(self.history))

    # -- what it found ------------------------------------------------------------------------------------------

    def readings(self) -> list[Reading]:
        """One `Reading` per group and, with more than one, last of all together."""
        self._windows.collect()
        return readings(self.history)

    def summary(self) -> Summary:
        """Measured beside predicted: rich table, HTML in a notebook, JSON."""
        from sde_si.monitor.report import Summary

        return Summary(self.readings(), self.notices(), self.step)

    def unready(self) -> str:
        """Why there is no record yet; empty once an epoch has been closed."""
        self._windows.collect()
        if any(epoch.whole is not None for epoch in self.history.epochs.values()):
            return ""
        size = self._windows.steps_per_epoch
        return f"{self.step} steps{f' of {size}' if size else ''} and no epoch that has ended"

    def record(self) -> xr.Dataset:
        """Closed epochs as a record of the project's schema.

        Raises
        ------
        BadInput
            If no epoch has been closed.
        """
        from sde_si.monitor.recording import record

        found = self.readings()
        if why := self.unready():
            size = self._windows.steps_per_epoch
            advice = (
                f"again after step {size}" if size else "steps_per_epoch=..., or monitor.epoch() at each epoch's end"
            )
            raise BadInput("monitor", "a whole epoch", why, advice)
        return record(self.history, found)

    def plot(self) -> Figure:
        """Angle over its prediction, norms and angles of the groups against steps."""
        from sde_si.monitor.figure import figure

        self._windows.collect()
        return figure(self.history)

    def notices(self) -> list[notices.Notice]:
        """What a reader must know before believing the table."""
        self._windows.collect()
        found = readings(self.history)
        said = notices.collect(self.optimizer, self.groups, self.audit, found, self._clipping, self.total_steps)
        if new := self._windows.added():
            text = f"{new} parameters were added to the optimizer after the monitor and are not watched"
            said.append(notices.Notice("setting", text))
        return [*said, *(notices.Notice("failure", text) for text in self._windows.failures)]

    def memory(self) -> str:
        """How much it keeps and where."""
        copies = 2 + len(self._windows.lags) + 1
        size = (copies * self.probe.copy_bytes + self.probe.waiting_bytes(self._windows.flush_every)) / 2**20
        devices = ", ".join(sorted({str(t.device) for t in self.probe.tensors}))
        count = sum(group.count for group in self.groups)
        also = " and the windows of a flush" if self.probe.packed else ""
        return (
            f"AngularMonitor: {len(self.groups)} groups, {count:,} weights; "
            f"up to {copies} copies of them{also}, {size:.3g} MiB on {devices}"
        )

    # -- life ---------------------------------------------------------------------------------------------------

    def remove(self) -> None:
        """Take the hooks off, free the copies and write the tail to log and sinks; what was measured stays."""
        self._windows.remove()
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: what was measured and where the count stands; no copies of weights. Flushes."""
        self.flush()
        return to_tensors(self._windows.state())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; windows that were open when it was written are dropped.

        Raises
        ------
        BadInput
            If the state is of other groups, of an optimizer with these in other parameter groups, or no state of a
            monitor; the monitor is then as before.
        """
        state = to_arrays(state)
        check_state(state, [group.name for group in self.groups], [group.param_group for group in self.groups])
        try:
            self._windows.restore(state)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise BadInput("state", "what state_dict gave", f"{type(error).__name__}: {error}", STATE) from error
