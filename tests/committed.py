"""The committed records of networks, for tests of what is said of them."""

from __future__ import annotations

import importlib

from validation.compare.keep import RECORDS

FILES = sorted(RECORDS.glob("*.nc"))


def file_of(name):
    """The record of that name."""
    return RECORDS / f"{name}.nc"


def instead_of_simulations(monkeypatch, record):
    """What would be simulated, in a list that grows; the record takes the place of every result."""
    seen = []
    simulation = importlib.import_module("sde_si.simulate")  # the package's attribute of that name is the function
    monkeypatch.setattr(simulation, "simulate", lambda *made, **more: seen.append((made, more)) or record)
    return seen
