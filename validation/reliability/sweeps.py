"""What is done to whole sweeps: kills, crashes, disks that refuse, clocks, each other."""

from __future__ import annotations

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from validation.reliability.study import Study, kill_group


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


def undisturbed(folder: Path, kind: str = "function", runs: int = 64) -> Study:
    study = Study(folder, kind, runs)
    code, _, complained = study.run("undisturbed", "--executor", "local:2")
    assert code == 0, complained
    return study


def batches(folder: Path, kills: int, count: int, **how: Any) -> dict[str, Any]:
    """Several sweeps in folders of their own that are killed at the same time; the figures are sums."""
    studies = [undisturbed(folder / str(number)) for number in range(count)]
    shares = [kills // count + (number < kills % count) for number in range(count)]
    with ThreadPoolExecutor(count) as threads:
        futures = [
            threads.submit(chaos, study, share, seed=number, **how)
            for number, (study, share) in enumerate(zip(studies, shares, strict=True))
        ]
    found = [future.result() for future in futures]
    kept = {"runs a sweep", "minutes"}
    return {key: max(f[key] for f in found) if key in kept else sum(f[key] for f in found) for key in found[0]}
