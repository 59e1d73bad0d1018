"""``python -m validation.compare RECORD...``: tables, figures, and an exit code that tells whether identities hold."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from sde_si.disk import check_writable
from sde_si.errors import CLAIM_FAILED, DONE, require
from sde_si.options import existing
from sde_si.terminal import emit, guarded, standing
from sde_si.verify.claim import HOLDS, REFUTED, UNDECIDED
from validation.compare import goals
from validation.compare.curvature import unstable_share
from validation.compare.identities import balance, identities, split
from validation.compare.keep import check, keep, title_of, titles
from validation.compare.overlay import SHOWN, beside, lacking, overlays
from validation.compare.response import norm_by_response
from validation.compare.rotation import CONFINED, PAPER, rotations
from validation.compare.seeds import Known, decide, how, settled
from validation.compare.window import checkpoints, window

if TYPE_CHECKING:
    import xarray as xr


BY_RESPONSE = "noise and response (18.8)"


def results(file: str, record: xr.Dataset, folder: Path) -> dict[str, Any]:
    """Everything said of one record, as JSON types; draws its figures."""
    from sde_si import style
    from sde_si.comparison import finite
    from validation.compare import figure

    used, turned, over = window(record), rotations(record), overlays(record)
    title, digest = title_of(record), record.attrs["digest"][:12]
    pictures = []
    if _turned(record):
        draw = lambda: figure.rotation_figure({title: record})  # noqa: E731
        pictures.append(style.save(draw, folder / f"compare-{digest}.png", dpi=figure.DPI))
    if over:
        draw = lambda: figure.overlay_figure(record, over, title)  # noqa: E731
        pictures.append(style.save(draw, folder / f"overlay-{digest}.png", dpi=figure.DPI))
    simulated = []
    for name in SHOWN if over else ():
        found = settled(record, used, name)
        said = {f"{one.name} with {one.noise}": beside(record, one, name) for one in over}
        by_response = norm_by_response(record) if name == "weight_norm" else None
        if by_response is not None:
            said[BY_RESPONSE] = by_response
        simulated.append({"quantity": name, **_number(found),
                          "simulated": {kind: {"value": finite(value)} | _off(off, goals.OF.get(name))
                                        for kind, (value, off) in said.items()}})  # fmt: skip
    held, parts = balance(record), split(record)
    return {
        "record": file, "title": title, "equilibrium": used.why or "no equilibrium", "errors": how(record),
        "laws": list(dict.fromkeys(law for one in turned for law in one.laws)),
        "checkpoints": {name: [int(at.inside.size), int(at.epochs.size)]
                        for name in ("response", "curvature") if (at := checkpoints(record, name)).epochs.size},
        "identities": [{"name": c.name, "left": finite(c.left), "allowed": c.allowed, "by_eps": c.leak,
                        "source": c.source, "holds": c.left <= c.allowed} for c in identities(record)],
        "rotation": [{"window": r.name, "steps": r.steps, "measured": finite(r.measured), "stderr": finite(r.stderr),
                      "laws": {k: {"value": finite(v), "stderr": finite(r.errors[k])} | _off(r.over[k], goals.ROTATION)
                               for k, v in r.laws.items()}} for r in turned],
        "split": parts and {name: _number(part) for name, part in parts.items()},
        "simulated": simulated, "not_simulated": None if over else lacking(record),
        "balance": held and _number(held), "left_out": unstable_share(record),
        "figures": [str(p) for p in pictures],
    }  # fmt: skip


def _number(found: Known) -> dict[str, Any]:
    from sde_si.comparison import finite

    return {"measured": finite(found.value), "stderr": finite(found.stderr)}


def _off(off: Known, bound: float | None) -> dict[str, Any]:
    """Measured over predicted, minus one, with its error, and whether that is within `bound`, if there is one."""
    from sde_si.comparison import finite

    out = {"off": finite(off.value), "off_stderr": finite(off.stderr), "freedom": off.freedom}
    return out if bound is None else out | {"bound": bound, "verdict": decide(off, bound)}


def _turned(record: xr.Dataset) -> bool:
    """Whether there is a rotation to draw: none where every network diverged."""
    return any(math.isfinite(one.measured) for one in rotations(record))


def _beside(said: dict[str, Any], factor: float = 1.0) -> str:
    """A prediction, and what was measured beside it."""
    if said["value"] is None or said["off"] is None:
        return "-"
    error = "" if said["off_stderr"] is None else f"±{100 * said['off_stderr']:.2g}"
    return f"{factor * said['value']:.4g}, {100 * said['off']:+.3g}{error} %"


def _table(columns: Sequence[str]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", overflow="fold")
    return table


def show(found: dict[str, Any]) -> None:
    """The tables of one record on stdout."""
    from rich.console import Console

    from sde_si.comparison import number
    from sde_si.quantities import shown

    console = Console(width=None if sys.stdout.isatty() else 160)

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    say(f"{found['title']}: {found['equilibrium']}; {found['errors']}")
    for name, (left, of) in found["checkpoints"].items():
        few = "" if left > 1 else ": too few to tell how much one differs from the next"
        say(f"{name}: {left} of {of} checkpoints of each seed lie in these epochs{few}")
    beside_it = [name for name in found["laws"] if name != PAPER]
    first_order = [PAPER] * (PAPER in found["laws"])  # its value alone: the table is wide
    head = *(f"{name}, measured beside it" for name in beside_it), *first_order
    table = _table(("1 - cos", "steps", "measured ± s.e.", *head))
    for one in found["rotation"]:
        cells = [_beside(one["laws"][name]) if name in one["laws"] else "-" for name in beside_it]
        cells += [number(one["laws"][name]["value"]) for name in first_order]
        table.add_row(one["window"], str(one["steps"]), number(one["measured"], error=one["stderr"]), *cells)
    console.print(table)
    for name in found["laws"]:
        verdicts = [one["laws"][name]["verdict"] for one in found["rotation"] if one["window"].startswith("lag")]
        if verdicts:
            hold, unsure, refuted = (verdicts.count(verdict) for verdict in (HOLDS, UNDECIDED, REFUTED))
            say(f"{name}: within {goals.ROTATION:.0%} at {hold} of {len(verdicts)} lags, farther off at {refuted}, "
                f"undecided at {unsure} (95 % certainty, lag by lag)")  # fmt: skip
    if found["simulated"]:
        kinds = list(found["simulated"][0]["simulated"])
        table = _table(("simulated", "measured ± s.e.", *(f"{kind}, measured beside it" for kind in kinds)))
        for one in found["simulated"]:
            quantity = shown(one["quantity"])
            cells = [quantity.title.replace("[", r"\["), number(one["measured"], quantity.factor, error=one["stderr"])]
            said = [one["simulated"].get(kind) for kind in kinds]
            table.add_row(*cells, *("-" if s is None else _beside(s, quantity.factor) for s in said))
        console.print(table)
    else:
        say(f"nothing is simulated beside it: {found['not_simulated']}")
    for one in found["identities"]:
        verdict = "holds" if one["holds"] else "DOES NOT HOLD"
        left = "unknown" if one["left"] is None else f"{one['left']:.2g}"
        eps = one["by_eps"] > 0.01 * one["allowed"]
        part = f", {one['by_eps']:.2g} of it by <x, g>, which is 0 with --norm-eps 0" if eps else ""
        say(f"theory {one['source']}: {one['name']}: {left}, allowed {one['allowed']:.2g}{part}: {verdict}")
    if found["split"] is not None:
        parts = {name: number(part["measured"], error=part["stderr"]) for name, part in found["split"].items()}
        cosine = parts.pop("cosine")
        summed = " + ".join(f"{name} ({value})" for name, value in parts.items())
        say(f"theory 1.11: cosine over an epoch ({cosine}) = {summed}")
    if found["balance"] is not None:
        spread = number(found["balance"]["measured"], error=found["balance"]["stderr"])
        say(f"theory 4.7, 9.2: squared step over squared length: {spread} of the stationary value")
    if found["left_out"] is not None:
        say(f"{CONFINED} leaves out {found['left_out']:.1%} of the noise: curvature at the edge of stability")
    for picture in found["figures"]:
        say(f"figure: {picture}")


def compare(
    records: Annotated[tuple[str, ...], tyro.conf.Positional], out: str = "", keep_in: str = "", json: bool = False
) -> int:
    """Theory over the records of real networks.

    Parameters
    ----------
    records
        Files written by python -m validation.train.
    out
        Folder for the figures [default: the first record's].
    keep_in
        Folder for small copies of the records, of all weights together.
    json
        Print one JSON object instead of the tables.
    """
    from sde_si.record import load

    require(bool(records), "records", "at least one record", "none", "runs/train-sgd-....nc")
    for file in records:
        existing("records", file)
    loaded = {file: load(file) for file in records}
    for file, record in loaded.items():
        source = record.attrs.get("source")
        require(source == "train", "records", "records of python -m validation.train", f"{file} ({source})")
    folder = Path(out) if out else Path(records[0]).parent
    if keep_in:
        check(loaded, Path(keep_in))
        check_writable(Path(keep_in), "--keep-in")
    check_writable(folder)
    found = []
    for file, record in loaded.items():
        found.append(results(file, record, folder))
        if keep_in:
            keep(record, Path(keep_in))
        if not json:
            show(found[-1])
    shown = [record for record in loaded.values() if _turned(record)]
    if len(shown) > 1:
        from sde_si import style
        from validation.compare import figure

        panels = dict(zip(titles(shown), shown, strict=True))
        together = style.save(lambda: figure.rotation_figure(panels), folder / "rotations.png", dpi=figure.DPI)
        if not json:
            print(f"figure of all: {together}")
    if json:
        _print(found)
    return DONE if all(c["holds"] for one in found for c in one["identities"]) else CLAIM_FAILED


def _print(found: list[dict[str, Any]]) -> None:
    emit({"records": found})


def main(args: Sequence[str] | None = None) -> int:
    """``python -m validation.compare``; returns the exit code."""
    return guarded(
        lambda: tyro.cli(compare, prog="python -m validation.compare", args=args), standing(records="RECORD")
    )
