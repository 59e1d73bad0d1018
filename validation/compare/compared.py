"""A record of a network with what is computed from it once for all tables and claims."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sde_si.record import load
from validation.compare.keep import kind
from validation.compare.overlay import Overlay, overlays
from validation.compare.rotation import Rotation, rotations
from validation.compare.seeds import by_seeds
from validation.compare.window import configured

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Compared:
    """A record with what costs time, computed once."""

    record: xr.Dataset

    @classmethod
    def of(cls, file: Path) -> Compared:
        """That of a file."""
        return cls(load(file))

    @cached_property
    def simulations(self) -> list[Overlay]:
        """What the SDE and the optimizer make of its noise; none where the record has no such theory."""
        return overlays(self.record)

    @cached_property
    def turned(self) -> list[Rotation]:
        """Its rotations."""
        return rotations(self.record)

    @property
    def reshuffled(self) -> bool:
        """Whether its noise was drawn without replacement."""
        return configured(self.record)["sampling"] == "reshuffle"

    @property
    def network(self) -> str:
        """Network, data and optimizer."""
        made = configured(self.record)
        plain = ", not augmented" * (not made["augment"]) + ", reshuffled" * self.reshuffled
        return f"`{made['network']}`, {made['data'].partition('-')[0]}{plain}, {kind(self.record)}"

    @property
    def name(self) -> str:
        """The same with its seeds; a star where they are too few for an error between them."""
        return f"{self.network}, {self.record.sizes['path']} seeds" + "\\*" * (not by_seeds(self.record))
