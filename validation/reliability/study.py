"""A sweep in a folder of its own, and what must hold of it after any fault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from sde_si.sweep.cli import read
from sde_si.sweep.job import readable
from validation.faults import SITE

ROOT = Path(__file__).resolve().parent.parent.parent

WALK = '''"""A run of a tenth of a second that needs no compiler."""
import time
import numpy as np

def walk(seed, steps):
    time.sleep(0.1)
    x = np.random.default_rng(seed).standard_normal((steps, 4)).cumsum(0)
    return {"end": x[-1], "length": (x**2).sum(1)}
'''
STUDIES = {
    "function": 'function = "walk.py:walk"\nseeds = 64\n[base]\nsteps = 500\n',
    "simulation": (
        'seeds = 8\nsolve_for = "wd"\n[base]\nN = 1280\nB = 64\ndim = 16\npaths = 64\nepochs = 30\n'
        '[grid]\ntuning_factor = [0.05, 0.1, 0.2, 0.4]\nmethod = ["sgd", "em"]\n'
    ),
}


class Study:
    """A sweep of 64 runs in a folder of its own, and what is known about it."""

    def __init__(self, folder: Path, kind: str, runs: int = 64) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.runs = folder, runs
        (folder / "walk.py").write_text(WALK)
        text = STUDIES[kind].replace("seeds = 64", f"seeds = {runs}")
        self.file = folder / "study.toml"
        self.file.write_text(text.replace("walk.py:", f"{folder}/walk.py:"))
        self.seen: dict[str, bytes] = {}

    def command(self, out: str, *flags: str) -> list[str]:
        """The command that does what is not done yet."""
        return [sys.executable, "-m", "sde_si", "sweep", str(self.file), "--out", str(self.folder / out), *flags]

    def start(self, out: str, *flags: str, fault: str = "") -> subprocess.Popen[str]:
        """Start the sweep as the head of a process group of its own."""
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        more = {}
        if fault:
            site = self.folder / "site"
            site.mkdir(exist_ok=True)
            (site / "sitecustomize.py").write_text(SITE)
            paths.insert(0, str(site))
            more = {"SDE_SI_FAULT": f"{fault}:{self.folder / out}:{self.folder / f'count-{out}'}"}
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))} | more
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.command(out, "--json", *flags), env=environment, stdout=pipe, stderr=pipe, text=True,
            start_new_session=True,
        )  # fmt: skip

    def run(self, out: str, *flags: str, fault: str = "") -> tuple[int, dict[str, Any], str]:
        """Run the sweep to its end: exit code, summary, stderr."""
        process = self.start(out, *flags, fault=fault)
        said, complained = process.communicate(timeout=900)
        return process.returncode, json.loads(said) if said.strip() else {}, complained

    def wait(self, out: str, process: subprocess.Popen[str], number: int) -> None:
        """Until so many records are there, or the sweep has ended."""
        while process.poll() is None and len(list((self.folder / out).glob("*.nc"))) < number:
            time.sleep(0.05)

    def records(self, out: str) -> dict[str, bytes]:
        """Content of every file that stands under a record's name."""
        return {path.name: path.read_bytes() for path in (self.folder / out).glob("*.nc")}

    def check(self, out: str) -> None:
        """Nothing finished is lost or changed, and nothing under a record's name is unreadable."""
        now = self.records(out)
        lost = [name for name, content in self.seen.items() if now.get(name) != content]
        assert not lost, f"lost or changed: {lost}"
        for name in now.keys() - self.seen.keys():
            path = self.folder / out / name
            digest = xr.open_dataset(path, engine="scipy").attrs["digest"]
            assert digest[:12] in name
            assert readable(path, digest) == ""
        self.seen = now

    def check_complete(self, out: str, reference: str = "undisturbed") -> None:
        """The set is that of the undisturbed sweep, and nothing else lies around."""
        assert comparable(self.records(out)) == comparable(self.records(reference))
        assert len(self.records(out)) == self.runs
        left = [p.name for p in (self.folder / out).rglob("*") if p.is_file() and p.suffix != ".nc"]
        assert not left, f"left behind: {left}"
        sweep, _ = read(str(self.file), str(self.folder / out))
        assert {name: len(jobs) for name, jobs in sweep.status().items() if jobs} == {"done": self.runs}


def comparable(records: Mapping[str, bytes]) -> dict[str, bytes]:
    """Records without their provenance."""
    out = {}
    for name, content in records.items():
        record = xr.open_dataset(content, engine="scipy").load()
        record.attrs.pop("provenance")
        out[name] = bytes(record.to_netcdf(engine="scipy", format="NETCDF3_64BIT"))  # pyright: ignore[reportArgumentType]
    return out


def kill_group(process: subprocess.Popen[str]) -> bool:
    """``kill -9`` of the sweep's whole process group; whether it was still at work."""
    alive = process.poll() is None
    if alive:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return alive
