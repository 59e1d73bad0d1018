"""Kinds of runs. To add one, write it into `KINDS`."""

from __future__ import annotations

from collections.abc import Callable

from sde_si.sweep.job import Job
from sde_si.sweep.kinds.calls import call
from sde_si.sweep.kinds.commands import command
from sde_si.sweep.kinds.simulations import simulation
from sde_si.sweep.kinds.spheres import sphere
from sde_si.sweep.kinds.trainings import train

# kind -> (what `Sweep.function` is for it, maker of a job)
KINDS: dict[str, tuple[str, Callable[..., Job]]] = {
    "simulate": ("", simulation),
    "sphere": ("", sphere),
    "train": ("", train),
    "call": ("a function, or its name path/file.py:name", call),
    "command": ("a command with {name} for settings and {out} for its file", command),
}
