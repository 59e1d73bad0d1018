"""Mistakes that someone really makes, each put into a copy of the package, and the claims that reject them.

``python -m validation.mutants`` copies the package into a temporary folder, checks that the claims hold there, makes
one mistake at a time, and writes ``docs/mutants.md``. A mistake is caught if a claim, which compares with theory and
never with a stored number, rejects it. To add a mutant, add it to `MUTANTS`. The text to be replaced must occur exactly
once in its file, or the script stops: it cannot go stale unseen.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sde_si
from sde_si.verify.claim import ERRORS

PACKAGE = Path(sde_si.__file__).parent
PAGE = Path(__file__).resolve().parent.parent / "docs" / "mutants.md"
ROUNDING = 1e-9  # a standard error so much smaller than the deviation is no noise


@dataclass(frozen=True)
class Mutant:
    """One mistake: in `file`, `old` becomes `new`; `claims` are to reject it."""

    name: str
    file: str
    old: str
    new: str
    claims: tuple[str, ...]


MUTANTS = (
    Mutant("missing Ito term", "methods/integrators.py",
           "change = trace * growth / q - decay", "change = -decay",
           ("transient-sde",)),
    Mutant("half the Ito term", "methods/integrators.py",
           "change = trace * growth / q - decay", "change = 0.5 * trace * growth / q - decay",
           ("norm-sde",)),
    Mutant("sqrt(dt) as dt", "methods/integrators.py",
           'return {"noise1": np.full_like(lr, 1 / np.sqrt(h))}', 'return {"noise1": np.full_like(lr, 1.0)}',
           ("norm-euler-maruyama",)),
    Mutant("sqrt(dt) as dt, with momentum", "methods/optimizers.py",
           '"noise1": np.full_like(lr, 1 / np.sqrt(h)), "c0"', '"noise1": np.full_like(lr, 1.0), "c0"',
           ("norm-euler-maruyama",)),
    Mutant("sign of wd", "methods/optimizers.py",
           "out[p, i] = x[p, i] - rate * (g[p, i] + wd * x[p, i])",
           "out[p, i] = x[p, i] - rate * (g[p, i] - wd * x[p, i])",
           ("transient",)),
    Mutant("sign of wd, with momentum", "methods/optimizers.py",
           "v[p, i] = damping * v[p, i] - rate * (g[p, i] + wd * x[p, i])",
           "v[p, i] = damping * v[p, i] - rate * (g[p, i] - wd * x[p, i])",
           ("transient",)),
    Mutant("1 - mu for 1 + mu in the theory", "theory/discrete.py",
           "return angle_of(u / (1 + momentum))", "return angle_of(u / (1 - momentum))",
           ("step-angle",)),
    Mutant("1 - mu for 1 + mu in the norm", "theory/discrete.py",
           "(2 - u / (1 + momentum))))", "(2 - u / (1 - momentum))))",
           ("norm-large-steps",)),
    Mutant("projection dropped", "rows.py",
           "xi[j] = a * xi[j] - b * x[j]", "xi[j] = a * xi[j]",
           ("telescoping-simulated", "free-norm-law")),
    Mutant("shared seed", "streams.py",
           "spawn_key=(stream, *key)", "spawn_key=(stream,)",
           ("independent-paths",)),
    Mutant("off by one step", "block.py",
           "in self._pieces(e, steps)", "in self._pieces(e, steps - 1)",
           ("epoch-cosine",)),
    Mutant("schedule one epoch late", "schedules/functions.py",
           'np.sort(milestones), clock.epoch, side="right"', 'np.sort(milestones), clock.epoch, side="left"',
           ("drop-on-time",)),
    Mutant("float32 accumulator", "methods/optimizers.py",
           "out[p, i] = x[p, i] - rate * (g[p, i] + wd * x[p, i])",
           "out[p, i] = np.float32(x[p, i] - rate * (g[p, i] + wd * x[p, i]))",
           ("telescoping-simulated",)),
    Mutant("float32 norm", "rows.py",
           "norm += b[j] * b[j]", "norm = np.float32(norm + b[j] * b[j])",
           ("balance-simulated",)),
    Mutant("noise reused across components", "noises.py",
           "                xi[p, j] = z\n                j += 1\n            elif",
           "                xi[p, j] = z if j % 2 == 0 else xi[p, j - 1]\n                j += 1\n            elif",
           ("brownian-direction",)),
    Mutant("wrong B scaling", "kernel.py",
           "(hyper.noise1 if i == 0 else hyper.noise2) / np.sqrt(hyper.batch)",
           "(hyper.noise1 if i == 0 else hyper.noise2) / hyper.batch",
           ("norm",)),
    Mutant("norm not updated", "kernel.py",
           "flat_norm[i] = flat_moments[2, i]", "flat_norm[i] += 0.0 * flat_moments[2, i]",
           ("transient",)),
    Mutant("momentum order swapped", "methods/optimizers.py",
           """            v[p, i] = damping * v[p, i] - rate * (g[p, i] + wd * x[p, i])
            out[p, i] = x[p, i] + h * v[p, i]""",
           """            out[p, i] = x[p, i] + h * v[p, i]
            v[p, i] = damping * v[p, i] - rate * (g[p, i] + wd * x[p, i])""",
           ("finite-d",)),
)  # fmt: skip


COMPILED_INTO_OTHERS = ("rows.py", "pcg64.py", "pointers.py")


@dataclass(frozen=True)
class Rejection:
    """The measurement that rejects a mutant most clearly: its deviation over the tolerance, and its z."""

    claim: str
    system: str
    ratio: float
    z: float

    def __str__(self) -> str:
        z = f"z = {self.z:+.4g}" if math.isfinite(self.z) else "no noise"
        return f"{self.claim}: {self.ratio:.3g} tolerances off, {z} ({self.system})"


class Stale(Exception):
    """A mutant, or the package that it is made of, is not what it should be."""


def mutate(mutant: Mutant, package: Path) -> None:
    """Make the mistake in a copy of the package.

    Raises
    ------
    Stale
        If the text to be replaced does not occur exactly once.
    """
    path = package / mutant.file
    text = path.read_text()
    if mutant.old == mutant.new or text.count(mutant.old) != 1:
        raise Stale(f"{mutant.name}: {text.count(mutant.old)} times in {mutant.file}, expected once: {mutant.old!r}")
    path.write_text(text.replace(mutant.old, mutant.new))
    if mutant.file in COMPILED_INTO_OTHERS:  # whose stamp is what numba's cache goes by
        for other in package.glob("*.py"):
            other.write_text(other.read_text().replace('_CODEGEN = "', '_CODEGEN = "mutant '))


def measure(claims: Sequence[str], home: Path, cache: Path, out: Path) -> list[dict[str, Any]]:
    """The rows of ``python -m sde_si.verify --json`` of the package in `home`.

    Raises
    ------
    Stale
        If the package does not get as far as a verdict.
    """
    words = [
        sys.executable,
        "-m",
        "sde_si.verify",
        "--claims",
        ",".join(claims),
        "--json",
        "--quiet",
        "--out",
        str(out),
    ]
    environment = os.environ | {"PYTHONPATH": str(home), "NUMBA_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(words, cwd=home, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        raise Stale(f"no verdict, exit code {done.returncode}: {done.stderr[-500:]}")
    return json.loads(done.stdout)


def rejections(rows: Sequence[dict[str, Any]]) -> list[Rejection]:
    """What the rows reject, most clearly first."""
    found = []
    for row in rows:
        if row["verdict"] == row["expected"] or row["measured"] is None or row["predicted"] is None:
            continue
        expected = row["predicted"] if row["truth"] is None else row["truth"]
        off, band = abs(row["measured"] - expected), sum(row["tolerance"].values()) * (abs(row["predicted"]) or 1.0)
        ratio = off / max(band, ERRORS * row["stderr"])
        # A mutant may be noisier than the claim allows for; it is rejected if it is off by tolerance and errors alike.
        if ratio > 1:
            found_z = row["z"] if row["truth"] is None else row["z_truth"]
            z = math.nan if found_z is None or row["stderr"] < ROUNDING * off else found_z
            found.append(Rejection(row["id"], row["system"], ratio, z))
    return sorted(found, key=lambda one: -one.ratio)


def fresh_copy(home: Path) -> Path:
    """The package as it is, in `home`, always under the same name: numba's cache goes by names and times of files."""
    target = home / "sde_si"
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def run(mutants: Sequence[Mutant], workshop: Path) -> dict[str, list[Rejection]]:
    """Rejections of each mutant, after the claims have held without one.

    Raises
    ------
    Stale
        If a claim does not hold without a mutant, or a mutant cannot be made.
    """
    home, compiled = workshop / "home", workshop / "cache"
    for mutant in mutants:  # before any work
        mutate(mutant, fresh_copy(home))
    fresh_copy(home)
    claims = list(dict.fromkeys(claim for mutant in mutants for claim in mutant.claims))
    wrong = [row["id"] for row in measure(claims, home, compiled, workshop / "control")
             if row["verdict"] != row["expected"]]  # fmt: skip
    if wrong:
        raise Stale(f"not as expected without any mutant: {', '.join(wrong)}")
    print(f"control: {len(claims)} claims as expected", flush=True)
    found: dict[str, list[Rejection]] = {}
    for i, mutant in enumerate(mutants):
        cache, out = workshop / f"cache-{i}", workshop / f"out-{i}"
        shutil.copytree(compiled, cache)
        mutate(mutant, fresh_copy(home))
        found[mutant.name] = rejections(measure(mutant.claims, home, cache, out))
        shutil.rmtree(cache)
        verdict = f"caught by {found[mutant.name][0]}" if found[mutant.name] else "SURVIVES " + ", ".join(mutant.claims)
        print(f"{mutant.name}: {verdict}", flush=True)
    return found


def page(mutants: Sequence[Mutant], found: Mapping[str, Sequence[Rejection]]) -> str:
    """The result as a page of the documentation."""
    lines = []
    for mutant in mutants:
        one = found[mutant.name][0] if found[mutant.name] else None
        z = "exact" if one is None or math.isnan(one.z) else f"{one.z:+.4g}"
        result = f"`{one.claim}` | {one.system} | {one.ratio:.3g} | {z}" if one else "SURVIVES | | |"
        edit = " &rarr; ".join(f"`{' '.join(text.split())}`" for text in (mutant.old, mutant.new))
        lines.append(f"| {mutant.name} | `{mutant.file}`: {edit} | {result} |")
    caught = sum(bool(one) for one in found.values())
    newline = "\n"
    return f"""# Mistakes that the claims catch

Made by `python -m validation.mutants`: each mistake is put into a copy of the package, where the claims hold without
it, and the claims beside it are measured again. Caught means that a claim, which compares with theory, is off by more
than its tolerance and five standard errors: {caught} of {len(found)} are. The deviation is in units of the larger of
these two; z is in standard errors, or the claim is exact. All claims belong to the quick set.

| mistake | edit | caught by | system | deviation | z |
|---|---|---|---|---:|---:|
{newline.join(lines)}
"""


def main() -> int:
    """Run all mutants and write the page, or run those named; exit code 1 if one survives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these mutants")
    chosen = parser.parse_args().names
    mutants = [mutant for mutant in MUTANTS if not chosen or mutant.name in chosen]
    with tempfile.TemporaryDirectory() as folder:
        found = run(mutants, Path(folder))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    caught = sum(bool(one) for one in found.values())
    if not chosen:
        PAGE.write_text(page(mutants, found))
    print(f"{caught} of {len(found)} caught, {used.ru_utime + used.ru_stime:.0f} CPU seconds")
    return 0 if caught == len(found) == len(mutants) > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
