"""What was measured, on the host: rows of every lag, sums of every epoch. NumPy only."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sde_si.theory.forms import Rule

Array = np.ndarray
KEEP = 4096  # rows of one lag; older ones live on in the epochs' sums
MIXED = "tensors of several parameter groups"
SAME = 0.05  # hyperparameters within this of each other count as the same
EPOCH = 0  # the lag of windows from an epoch's start to its end


def same(a: Rule, b: Rule) -> bool:
    """Whether two rules would lead to nearly the same equilibrium."""
    near = all(abs(p - q) <= SAME * abs(q) for p, q in ((a.lr, b.lr), (a.wd, b.wd)))
    return near and (a.form, a.momentum, a.beta2, a.damping) == (b.form, b.momentum, b.beta2, b.damping)


@dataclass(frozen=True)
class Group:
    """One scale-invariant group.

    Attributes
    ----------
    name : str
        Its parameters' names.
    members : tuple of int
        Its tensors among the monitored ones.
    level : str
        ``filter``, ``layer``, ``joint``, or ``given`` where nobody tested.
    count : int
        Number of weights.
    param_group : int
        The optimizer's parameter group, of its first tensor.
    others : tuple of int
        Parameter groups of its other tensors, where they are not the same.
    """

    name: str
    members: tuple[int, ...]
    level: str
    count: int
    param_group: int
    others: tuple[int, ...] = ()


@dataclass(slots=True)
class Row:
    """One window: scalars per group and, last, of all together."""

    step: int
    epoch: int
    snapshot: int
    values: Array  # (group, probe.COLUMNS)
    extra: Array  # (group, probe.EXTRA)
    predicted: dict[int, Array] = field(default_factory=dict)  # per lag, worked out when asked for
    parts: dict[tuple[int, ...], Row] = field(default_factory=dict)  # `only`, worked out when asked for

    def only(self, which: tuple[int, ...]) -> Row:
        """Same window of some groups and, last, of these together."""
        if which not in self.parts:
            values, extra = self.values[list(which)], self.extra[list(which)]
            both = np.vstack([values, values.sum(axis=0)]), np.vstack([extra, extra.sum(axis=0)])
            self.parts[which] = Row(self.step, self.epoch, self.snapshot, *both)
        return self.parts[which]


def angle(values: Array) -> Array:
    """Angle of a window, radians: atan2 of the orthogonal part; last axis as `probe.COLUMNS`."""
    xx, xd, dd = values[..., 0], values[..., 1], values[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        aside = np.sqrt(np.maximum(dd * xx - xd * xd, 0.0))
    return np.where(xx > 0, np.arctan2(aside, xx + xd), np.nan)


def end_norm(values: Array) -> Array:
    """Length at the window's end."""
    return np.sqrt(np.maximum(values[..., 0] + 2 * values[..., 1] + values[..., 2], 0.0))


@dataclass
class Epoch:
    """Sums over the windows that began in one epoch."""

    steps: int = 0
    lr: float = math.nan  # of the first group, as is the momentum
    momentum: float = math.nan
    lrs: Array | None = None  # of each group and, last, of all together: nan where they differ
    whole: Array | None = None  # (group, column) of the window over the epoch
    count: int = 0
    squares: Array | None = None  # sum of squared one-step angles
    balance: Array | None = None  # sums of |d|^2 and |x|^2, (2, group)
    cosines: dict[int, tuple[int, Array]] = field(default_factory=dict)


class History:
    """Rows per lag, epochs, and the hyperparameters that held at each row."""

    def __init__(self, groups: list[Group], steps_per_epoch: int | None = None) -> None:
        self.groups = groups
        self.steps_per_epoch = steps_per_epoch  # as given; closed epochs know their own
        self._first = np.array([group.members[0] for group in groups])
        self.rows: dict[int, list[Row]] = {}
        self.epochs: dict[int, Epoch] = {}
        self.snapshots: list[tuple[Rule, ...]] = []
        self.initial: Array | None = None  # squared lengths at the start, (group,)
        self.verdicts: dict[int, tuple[int, bool | None]] = {}  # of each group: start of its phase, last verdict

    def snapshot(self, rules: tuple[Rule, ...]) -> int:
        """Number of these hyperparameters, new if they changed."""
        if not self.snapshots or self.snapshots[-1] != rules:
            self.snapshots.append(rules)
        return len(self.snapshots) - 1

    def rule(self, row: Row, group: int) -> Rule:
        """What the optimizer did with a group when a row was measured; for all together, with the first group.

        Of members with different rules there is no law (`MIXED`).
        """
        one, rules = self.groups[group if group < len(self.groups) else 0], self.snapshots[row.snapshot]
        found = rules[one.param_group]
        mixed = any(not same(rules[i], found) for i in one.others)
        return dataclasses.replace(found, form=MIXED) if mixed else found

    def only(self, which: tuple[int, ...]) -> History:
        """Rows of some groups and, last, of these together; epochs are those of all."""
        out = History([self.groups[i] for i in which], self.steps_per_epoch)
        out.rows = {lag: [row.only(which) for row in rows] for lag, rows in self.rows.items()}
        out.epochs, out.snapshots = self.epochs, self.snapshots
        return out

    def by_group(self, tensors: Array) -> Array:
        """Sums over the members of each group, which follow each other, and, last, over all of them."""
        out = np.empty((len(self.groups) + 1, *tensors.shape[1:]))
        np.add.reduceat(tensors, self._first, axis=0, out=out[:-1])
        out[-1] = out[:-1].sum(axis=0)
        return out

    def add(self, lags: list[int], rows: list[Row]) -> None:
        """Take in windows of these lags."""
        values = np.stack([row.values for row in rows])
        angles = angle(values)
        cosines, squares, balances = np.cos(angles), angles**2, np.stack([values[..., 2], values[..., 0]], axis=1)
        for i, (lag, row) in enumerate(zip(lags, rows, strict=True)):
            if lag == 1 and not row.values[-1, 2] > 0:
                continue  # a step that moved nothing: skipped by a gradient scaler inside the optimizer
            kept = self.rows.setdefault(lag, [])
            kept.append(row)
            if len(kept) > KEEP + KEEP // 4:
                del kept[: len(kept) - KEEP]
            epoch = self.epochs.setdefault(row.epoch, Epoch())
            if lag == EPOCH:
                epoch.whole = row.values
                continue
            if lag == 1:
                epoch.squares = squares[i] if epoch.squares is None else epoch.squares + squares[i]
                epoch.balance = balances[i] if epoch.balance is None else epoch.balance + balances[i]
                epoch.count += 1
            count, total = epoch.cosines.get(lag, (0, 0.0))
            epoch.cosines[lag] = (count + 1, total + cosines[i])

    def state(self) -> dict[str, Any]:
        """Everything as numbers, lists and arrays, for a checkpoint."""
        rows = {
            lag: {
                "index": np.array([[r.step, r.epoch, r.snapshot] for r in of], dtype=np.int64),
                "values": np.stack([r.values for r in of]),
                "extra": np.stack([r.extra for r in of]),
            }
            for lag, of in self.rows.items()
            if of
        }
        return {
            "groups": [group.name for group in self.groups],
            "param_groups": [group.param_group for group in self.groups],
            "rows": rows,
            "epochs": {number: dataclasses.asdict(epoch) for number, epoch in self.epochs.items()},
            "snapshots": [[dataclasses.astuple(rule) for rule in rules] for rules in self.snapshots],
            "initial": self.initial,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`; what is no state leaves all as it was."""
        rows = {
            lag: [
                Row(int(i[0]), int(i[1]), int(i[2]), v, x if x.ndim == 2 else np.stack([x, x * math.nan], axis=1))
                for i, v, x in zip(of["index"], of["values"], of["extra"], strict=True)
            ]
            for lag, of in state["rows"].items()
        }
        epochs = {number: Epoch(**epoch) for number, epoch in state["epochs"].items()}
        snapshots = [tuple(Rule(*rule) for rule in rules) for rules in state["snapshots"]]
        self.rows, self.epochs, self.snapshots, self.initial = rows, epochs, snapshots, state["initial"]
