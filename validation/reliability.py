"""Does a sweep lose anything, whatever happens to it? ``python -m validation.reliability EXPERIMENT...`` finds out.

Each experiment of `EXPERIMENTS` puts its figures into validation/records/reliability.json and docs/reliability.md. All
check the same after every fault: the finished records are still there, byte for byte; every file under a record's name
is a readable record of its own digest; and once the sweep has been started often enough, the set is that of an
undisturbed sweep, byte for byte but for the provenance, with no temporary file and no list of runs left over.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

from sde_si.machine import usable_cores
from sde_si.provenance import provenance
from sde_si.sweep import Sweep
from sde_si.sweep.cli import read
from sde_si.sweep.folder import Folder
from sde_si.sweep.job import readable
from sde_si.sweep.worker import DISK, DONE, FAILED, perform
from validation import faults
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


def chaos(
    study: Study, kills: int, *, executor: str, longest: float, seed: int = 0, disturb: Any = None
) -> dict[str, Any]:
    """Kill a sweep at random times, start it again, begin anew when it is complete, until it was killed so often.

    `longest` is in seconds: from the start or from the first record on, each kill comes at a time between 0 and that.
    """
    rng, killed, passes, starts, finished = random.Random(seed), 0, 0, 0, 0
    begin = time.monotonic()
    while killed < kills:
        out, study.seen = f"chaos-{executor.partition(':')[0]}-{passes}", {}
        while killed < kills:
            starts += 1
            process = study.start(out, "--executor", executor)
            # One in four while it starts; the others so long after its first record, however slow the machine.
            if rng.random() > 0.25:
                study.wait(out, process, len(study.seen) + 1)
            deadline = time.monotonic() + rng.uniform(0.0, longest)
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
    study.wait("clock", process, 10)
    kill_group(process)
    study.check("clock")
    before = len(study.seen)
    process = study.start("clock", "--executor", "local:2", fault="clock:0:0")
    study.wait("clock", process, before + 10)
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


def writer(study: Study) -> dict[str, Any]:
    """A worker's whole way through a good and a bad run, with each fault at each of its boundaries of writing."""
    (study.folder / "bad.py").write_text("def bad(seed):\n    raise ValueError('as asked for')\n")
    counts: dict[str, Any] = {}
    for function, expected in (("walk.py:walk", DONE), ("bad.py:bad", FAILED)):
        base = {"steps": 5} if expected == DONE else {}
        [job] = Sweep(function=f"{study.folder}/{function}", base=base | {"seed": 1}).jobs()
        whole: dict[str, bytes] = {}
        for kind in ("crash", "ENOSPC", "EROFS", "EIO"):
            number = 0
            while True:
                number += 1
                out, counter = study.folder / f"writer-{expected}-{kind}-{number}", study.folder / "count"
                out.mkdir()
                counter.unlink(missing_ok=True)
                code = _in_child(job, out, f"{kind}:{number}:{number}:{out}:{counter}")
                if counter.stat().st_size < number:
                    break
                assert code in ((137,) if kind == "crash" else (0, 4)), code
                for path in out.glob("*.nc"):
                    assert readable(path, job.digest) == ""
                for path in out.glob("failed/*.json"):
                    assert json.loads(path.read_text())["status"] == FAILED
                assert _in_child(job, out, "") == 0
                Folder(out).tidy()
                names = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
                stem = Path(job.name).stem
                assert names == ([job.name] if expected == DONE else [f"failed/{stem}.json"]), names
                content = comparable({path.name: path.read_bytes() for path in out.glob("*.nc")})
                whole = whole or content
                assert content == whole
            counts[f"{kind}, {'record' if expected == DONE else 'reason'}"] = number - 1
    return counts


def _in_child(job: Any, out: Path, fault: str) -> int:
    """Do the run in a forked process with this fault: 137 crashed, 4 said that the disk refuses, 0 else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: the child uses none of them
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 99
    try:
        if fault:
            faults.install(fault)
        [outcome] = perform([dataclasses.replace(job, prepare=None)], str(out), None)
        code = 4 if outcome.status == DISK else 0
    finally:
        os._exit(code)


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
                    if pids:  # else all are being started anew
                        os.kill(rng.choice(pids), signal.SIGKILL)

            yield "dask:" + address.removeprefix("tcp:"), kill_worker
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


def _study(folder: Path, kind: str = "function", runs: int = 64) -> Study:
    study = Study(folder, kind, runs)
    code, _, complained = study.run("undisturbed", "--executor", "local:2")
    assert code == 0, complained
    return study


def _batches(folder: Path, kills: int, batches: int, **how: Any) -> dict[str, Any]:
    """Several sweeps in folders of their own that are killed at the same time; the figures are sums."""
    studies = [_study(folder / str(number)) for number in range(batches)]
    shares = [kills // batches + (number < kills % batches) for number in range(batches)]
    with ThreadPoolExecutor(batches) as threads:
        futures = [
            threads.submit(chaos, study, share, seed=number, **how)
            for number, (study, share) in enumerate(zip(studies, shares, strict=True))
        ]
    found = [future.result() for future in futures]
    kept = {"runs a sweep", "minutes"}
    return {key: max(f[key] for f in found) if key in kept else sum(f[key] for f in found) for key in found[0]}


def _dask(folder: Path) -> dict[str, Any]:
    study = _study(folder)
    with dask_cluster(folder / "dask") as (address, kill_worker):
        return chaos(study, 200, executor=address, longest=3, disturb=kill_worker)


# name -> (what is done, experiment in a folder)
EXPERIMENTS: dict[str, tuple[str, Callable[[Path], dict[str, Any]]]] = {
    "kill-local": (
        "`kill -9` of the whole process group at random times, two local workers",
        lambda folder: _batches(folder, 200, 4, executor="local:2", longest=2),
    ),
    "kill-dask": (
        "the same with a dask cluster of separate processes; before one kill in four, a worker's process is killed too",
        _dask,
    ),
    "kill-simulation": (
        "`kill -9` of the whole process group at random times, simulations, two local workers",
        lambda folder: chaos(_study(folder, "simulation"), 40, executor="local:2", longest=4),
    ),
    "writer": ("each fault at every boundary of a worker's writing (number of boundaries)",
               lambda folder: writer(Study(folder, "function", 1))),
    "boundaries": ("a crash at boundaries of writing of a whole sweep, parent and worker",
                   lambda folder: boundaries(_study(folder, runs=2), every=2)),
    "disk": ("disk full, read-only and I/O error at boundaries of writing of a whole sweep, single and lasting",
             lambda folder: disk_errors(_study(folder, runs=2), every=6)),
    "clock": ("the clock goes back by a day, and again during the sweep", lambda folder: clock_back(_study(folder))),
    "two": ("two sweeps start in one folder at once", lambda folder: two_at_once(_study(folder), rounds=3)),
}  # fmt: skip


def page(results: Mapping[str, Any]) -> str:
    """The figures as a page of the documentation."""
    lines = ["# What a sweep survives", "", "Made by `python -m validation.reliability`.", "",
             (__doc__ or "").partition("\n\n")[2].strip(), "",
             "Every check of the experiments in the table held.", "",
             "| what was done | figures |", "|---|---|"]  # fmt: skip
    for name, (what, _) in EXPERIMENTS.items():
        if name in results:
            figures = [f"{k}: {v:.3g}" for k, v in results[name]["figures"].items()]
            lines.append(f"| {what} | {'; '.join(figures)} |")
    pending = [f"`{name}` ({what})" for name, (what, _) in EXPERIMENTS.items() if name not in results]
    lines += ["", f"Not run yet: {'; '.join(pending)}."] if pending else []
    made = next(iter(results.values()))["provenance"]
    commits = ", ".join(sorted({one["provenance"]["commit"] for one in results.values()}))
    shared = f"{made['cores']} cores shared with other work, so that minutes are no benchmark"
    lines += ["", f"{shared}; python {made['python']}; commits {commits}.", ""]
    return "\n".join(lines)


def main() -> int:
    """Run the experiments named on the command line, or all."""
    for name in sys.argv[1:] or EXPERIMENTS:
        with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
            figures = EXPERIMENTS[name][1](Path(folder).resolve())
        results = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        results[name] = {"figures": figures, "provenance": provenance(cores=usable_cores())}
        RECORD.write_text(json.dumps(results, indent=1) + "\n")
        PAGE.write_text(page(results))
        print(name, figures, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
