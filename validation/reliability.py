"""``python -m validation.reliability [kills] [dask kills]``: does a sweep lose anything, whatever happens to it?

Each experiment checks the same after every fault: the finished records are still there, byte for byte; every file under
a record's name is a readable record of its own digest; and after the sweep has been started often enough, the set is that
of an undisturbed sweep, byte for byte but for the provenance, with no temporary file and no list of runs left over.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

from sde_si.sweep.cli import read
from sde_si.sweep.job import readable
from validation.faults import SITE

ROOT = Path(__file__).resolve().parent.parent
RECORD, PAGE = ROOT / "validation" / "records" / "reliability.json", ROOT / "docs" / "reliability.md"

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


def chaos(study: Study, kills: int, *, executor: str, longest: float, seed: int = 0, disturb: Any = None) -> dict[str, Any]:
    """Kill a sweep at random times, start it again, begin anew when it is complete, until it was killed so often."""
    rng, killed, passes, starts, finished = random.Random(seed), 0, 0, 0, 0
    begin = time.monotonic()
    while killed < kills:
        out, study.seen = f"chaos-{executor.partition(':')[0]}-{passes}", {}
        while killed < kills:
            starts += 1
            process = study.start(out, "--executor", executor)
            deadline = time.monotonic() + rng.uniform(0.2, longest)
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            if process.poll() is not None:
                _, complained = process.communicate()
                assert process.returncode == 0, complained
                study.check(out)
                break
            if disturb is not None:
                disturb(rng)
            killed += kill_group(process)
            study.check(out)
        # The last kill may have come at any time: once more, to the end.
        finished += len(study.seen)
        code, summary, complained = study.run(out, "--executor", executor)
        assert code == 0, complained
        assert summary["done"] + summary["reused"] == study.runs
        study.check(out)
        study.check_complete(out)
        passes += 1
    return {"kills": killed, "starts": starts, "sweeps completed": passes, "runs a sweep": study.runs,
            "records checked": passes * study.runs, "minutes": (time.monotonic() - begin) / 60}  # fmt: skip


def boundaries(study: Study, *, every: int = 1) -> dict[str, Any]:
    """Crash the process that writes, once at every boundary of writing, of parent and workers alike."""
    crashed, number = 0, 1
    while True:
        out, study.seen = f"boundary-{number}", {}
        code, _, complained = study.run(out, "--executor", "local:1", fault=f"crash:{number}:{number}")
        struck = (study.folder / f"count-{out}").stat().st_size >= number
        assert code in (0, 137), complained
        study.check(out)
        if code:
            code, _, complained = study.run(out, "--executor", "local:1")
            assert code == 0, complained
            study.check(out)
        else:
            study.run(out, "--executor", "local:1")  # takes away what the dead worker left
        study.check_complete(out)
        if not struck:
            return {"boundaries": crashed, "runs a sweep": study.runs}
        crashed, number = crashed + 1, number + every


def disk_errors(study: Study, *, every: int = 1) -> dict[str, Any]:
    """Each error of the disk once at each boundary of writing; then every write fails from some boundary on."""
    struck_once, stopped = 0, 0
    for kind in ("ENOSPC", "EROFS", "EIO"):
        number = 1
        while True:
            out, study.seen = f"{kind}-{number}", {}
            code, _, complained = study.run(out, "--executor", "local:1", fault=f"{kind}:{number}:{number}")
            struck = (study.folder / f"count-{out}").stat().st_size >= number
            assert code in (0, 4), complained
            assert "Traceback" not in complained
            study.check(out)
            # Once more even if all is done: an error at the removal of the list of runs leaves it until then.
            code, _, complained = study.run(out, "--executor", "local:1")
            assert code == 0, complained
            study.check(out)
            study.check_complete(out)
            if not struck:
                break
            struck_once, number = struck_once + 1, number + every
        for first in (1, number // 2):
            out, study.seen = f"{kind}-from-{first}", {}
            code, _, complained = study.run(out, "--executor", "local:1", fault=f"{kind}:{first}:1000000")
            assert code == 4, (code, complained)
            assert "Traceback" not in complained
            study.check(out)
            stopped += 1
            code, _, complained = study.run(out, "--executor", "local:1")
            assert code == 0, complained
            study.check_complete(out)
    return {"single errors": struck_once, "sweeps stopped by a lasting error": stopped, "runs a sweep": study.runs}


def clock_back(study: Study) -> dict[str, Any]:
    """The clock goes back by a day, and by another one while the sweep runs; then it is right again."""
    study.seen = {}
    process = study.start("clock", "--executor", "local:2")
    time.sleep(2.5)
    kill_group(process)
    study.check("clock")
    before = len(study.seen)
    process = study.start("clock", "--executor", "local:2", fault="clock:0:0")
    time.sleep(2.5)
    kill_group(process)
    study.check("clock")
    code, _, complained = study.run("clock", "--executor", "local:2", fault="clock:0:0")
    assert code == 0, complained
    study.check("clock")
    study.check_complete("clock")
    return {"runs": study.runs, "done before the clock went back": before}


def two_at_once(study: Study, rounds: int = 1) -> dict[str, Any]:
    """Two sweeps start in one folder at the same time."""
    twice = 0
    for number in range(rounds):
        out, study.seen = f"two-{number}", {}
        processes = [study.start(out, "--executor", "local:2") for _ in range(2)]
        said = [process.communicate(timeout=900) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], said
        done = [json.loads(text)["done"] for text, _ in said]
        twice += sum(done) - study.runs
        study.check(out)
        study.check_complete(out)
    return {"rounds": rounds, "runs": rounds * study.runs, "runs done by both": twice}


@contextmanager
def dask_cluster(folder: Path, workers: int = 2) -> Iterator[tuple[str, Any]]:
    """A scheduler and workers, each a process of its own; the address, and a function that kills a worker."""
    folder.mkdir(parents=True, exist_ok=True)
    where = folder / "scheduler.json"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    log = (folder / "dask.log").open("w")
    options: dict[str, Any] = {"env": environment, "stdout": log, "stderr": log, "start_new_session": True}
    base = [sys.executable, "-m", "dask"]
    processes = [
        subprocess.Popen([*base, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                          "--scheduler-file", str(where)], **options)
    ]  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not where.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        processes += [
            subprocess.Popen([*base, "worker", "--scheduler-file", str(where), "--nthreads", "1", "--no-dashboard",
                              "--local-directory", str(folder)], **options)
            for _ in range(workers)
        ]  # fmt: skip
        address = json.loads(where.read_text())["address"]
        from distributed import Client

        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)

            def kill_worker(rng: random.Random) -> None:
                """Kill a working process now and then; its nanny starts another."""
                if rng.random() < 0.25:
                    pids = list(client.run(os.getpid).values())
                    os.kill(rng.choice(pids), signal.SIGKILL)

            yield "dask:" + address.removeprefix("tcp:"), kill_worker
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()
