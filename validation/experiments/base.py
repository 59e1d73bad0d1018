"""What an experiment is: cells (configurations) times seeds at four scales, and what is kept of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sde_si.run import sha256
from sde_si.sweep.job import canonical

if TYPE_CHECKING:
    import xarray as xr

# Raised when the trainer's numbers change: every cell is then another one. A test holds numbers of this format. Not
# raised when reshuffled trainings came to measure their noise by other draws: no summary keeps a `signal` from before.
FORMAT = 1
SCALES = ("tiny", "cpu", "gpu", "full")  # smallest first
SEEDS = MappingProxyType({"tiny": 1, "cpu": 3, "gpu": 3, "full": 3})
# What the predictions, the figures and this room itself need of every run.
KEPT = ("angle_epoch", "angle_step", "weight_norm", "weight_norm_initial", "gradient", "train_loss", "test_accuracy")
MOMENTS = ("signal", "noise_trace")
SPLIT = ("split_decay", "split_velocity", "split_drift")
Labels = Mapping[str, str | float]


@dataclass(frozen=True)
class Cell:
    """One configuration, trained from several seeds.

    Attributes
    ----------
    settings : mapping
        Flags of ``python -m validation.train`` that are not their defaults, as plain JSON types. Whoever has the same
        settings has the same run, whatever the experiment.
    labels : mapping of str to str or float
        What the experiment calls it: columns on the summary's cells.
    """

    settings: Mapping[str, Any]
    labels: Labels = field(default_factory=dict)

    def digest(self, seed: int) -> str:
        """Hex digest of one run: settings, seed and `FORMAT`."""
        return sha256(canonical({"format": FORMAT, "settings": {**self.settings, "seed": seed}}))


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One figure or table of a paper, or a question of the theory, by real trainings.

    Attributes
    ----------
    title : str
    source : str
        Where the paper has it.
    question : str
        What is to be seen, in a sentence or two.
    cells : callable
        ``cells(scale)`` gives the list of `Cell`.
    more : tuple of str
        Variables of the trainings' records that go into the summary, beside `KEPT`.
    groups : bool
        Keep every scale-invariant group, not only the whole network.
    figures : tuple of str
        Names in ``paper_figs`` that use it.
    paper : mapping
        The paper's own numbers with their source, as plain JSON types; empty if it gives none that apply.
    seeds : mapping of str to int
        Seeds by scale.
    derive : callable, optional
        ``derive(summary)`` adds what is worked out from the measurement (a regime, a score).
    name : str
        File name in ``catalogue`` with dashes; filled in by the registry.
    """

    title: str
    source: str
    question: str
    cells: Callable[[str], list[Cell]]
    more: tuple[str, ...] = ()
    groups: bool = False
    figures: tuple[str, ...] = ()
    paper: Mapping[str, Any] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=lambda: SEEDS)
    derive: Callable[[xr.Dataset], xr.Dataset] | None = None
    name: str = ""

    @property
    def record(self) -> tuple[str, ...]:
        """All variables that the summary keeps."""
        return (*KEPT, *self.more)

    def digest(self, scale: str) -> str:
        """Hex digest of the configuration at one scale: cells, labels, what is kept; not the number of seeds."""
        cells = [{"settings": cell.settings, "labels": cell.labels} for cell in self.cells(scale)]
        content = {"format": FORMAT, "cells": cells, "record": self.record, "groups": self.groups}
        return sha256(canonical(content))


def cell(base: Mapping[str, Any], changes: Mapping[str, Any] | None = None, /, **labels: str | float) -> Cell:
    """A cell with the settings of `base` and some changed; None takes one away."""
    settings = {name: value for name, value in {**base, **(changes or {})}.items() if value is not None}
    return Cell(settings, labels)


def unique(cells: Iterable[Cell]) -> list[Cell]:
    """The cells without those that have the settings of an earlier one."""
    found: dict[bytes, Cell] = {}
    for one in cells:
        found.setdefault(canonical(one.settings), one)
    return list(found.values())
