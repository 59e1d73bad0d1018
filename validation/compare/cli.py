"""``python -m validation.compare RECORD...``: tables, figures, and an exit code that tells whether identities hold."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from sde_si.errors import CLAIM_FAILED, DONE, require
from sde_si.terminal import emit, guarded
from validation.compare.curvature import unstable_share
from validation.compare.identities import balance, identities
from validation.compare.keep import check, keep, title_of, titles
from validation.compare.overlay import SHOWN, overlays
from validation.compare.response import norm_by_response
from validation.compare.rotation import CONFINED, rotations
from validation.compare.window import window

if TYPE_CHECKING:
    import xarray as xr


BY_RESPONSE = "noise and response (18.8)"


def results(file: str, record: xr.Dataset, folder: Path) -> dict[str, Any]:
    """Everything said of one record, as JSON types; draws its figures."""
    from sde_si.comparison import finite
    from sde_si.estimators import equilibrium
    from validation.compare import figure

    used, turned, over = window(record), rotations(record), overlays(record)
    names = list(dict.fromkeys(law for one in turned for law in one.laws))
    title, digest = title_of(record), record.attrs["digest"][:12]
    pictures = []
    if _turned(record):
        pictures.append(figure.write(lambda: figure.rotation_figure({title: record}), folder / f"compare-{digest}.png"))
    if over:
        draw = lambda: figure.overlay_figure(record, over, title)  # noqa: E731
        pictures.append(figure.write(draw, folder / f"overlay-{digest}.png"))
    simulated = []
    for name in SHOWN if over else ():
        found = equilibrium(record, used, name)
        beside = [equilibrium(one.record, used, name) for one in over]
        simulated.append({
            "quantity": name, "measured": finite(found.value), "stderr": finite(found.stderr),
            "simulated": {f"{o.name} with {o.noise}": {"value": finite(b.value), "stderr": finite(b.stderr)}
                          for o, b in zip(over, beside, strict=True)},
        })  # fmt: skip
    by_response = norm_by_response(record)
    if by_response is not None and simulated:
        value, error = by_response
        simulated[0]["simulated"][BY_RESPONSE] = {"value": finite(value), "stderr": finite(error)}
    held = balance(record)
    return {
        "record": file, "title": title, "equilibrium": used.why or "no equilibrium", "laws": names,
        "identities": [{"name": c.name, "left": finite(c.left), "allowed": c.allowed, "source": c.source,
                        "holds": c.left <= c.allowed} for c in identities(record)],
        "rotation": [{"window": r.name, "steps": r.steps, "measured": finite(r.measured), "stderr": finite(r.stderr),
                      "laws": {k: {"value": finite(v), "stderr": finite(r.errors[k])} for k, v in r.laws.items()}}
                     for r in turned],
        "simulated": simulated, "balance": held and [finite(part) for part in held], "left_out": unstable_share(record),
        "figures": [str(p) for p in pictures],
    }  # fmt: skip


def _turned(record: xr.Dataset) -> bool:
    """Whether there is a rotation to draw: none where every network diverged."""
    return any(math.isfinite(one.measured) for one in rotations(record))


def _ratio(measured: float | None, said: float | None) -> float | None:
    return None if measured is None or not said else measured / said - 1


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

    from sde_si.comparison import number, percent
    from sde_si.quantities import shown

    console = Console(width=None if sys.stdout.isatty() else 160)

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    say(f"{found['title']}: {found['equilibrium']}")
    table = _table(("1 - cos", "steps", "measured ± s.e.", *(f"{name}, measured beside it" for name in found["laws"])))
    for one in found["rotation"]:
        cells = [one["window"], str(one["steps"]), number(one["measured"], error=one["stderr"])]
        for name in found["laws"]:
            law = one["laws"].get(name, {"value": None, "stderr": None})
            value, error = law["value"], law["stderr"]
            relative = _ratio(one["measured"], value)
            spread = f" ± {error / value:.1%}" if value and error else ""
            cells.append("-" if value is None else f"{value:.4g}{spread}, {percent(relative)}")
        table.add_row(*cells)
    console.print(table)
    if found["simulated"]:
        kinds = list(found["simulated"][0]["simulated"])
        table = _table(("simulated", "measured ± s.e.", *(f"{kind}, measured beside it" for kind in kinds)))
        for one in found["simulated"]:
            quantity = shown(one["quantity"])
            cells = [quantity.title.replace("[", r"\["), number(one["measured"], quantity.factor, error=one["stderr"])]
            for kind in kinds:
                value = one["simulated"].get(kind, {"value": None})["value"]
                cells.append(f"{number(value, quantity.factor)}, {percent(_ratio(one['measured'], value))}")
            table.add_row(*cells)
        console.print(table)
    for one in found["identities"]:
        verdict = "holds" if one["holds"] else "DOES NOT HOLD"
        left = "unknown" if one["left"] is None else f"{one['left']:.2g}"
        say(f"theory {one['source']}: {one['name']}: {left}, allowed {one['allowed']:.0e}: {verdict}")
    if found["balance"] is not None:
        ratio, error = found["balance"]
        spread = number(ratio, error=error)
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
    loaded = {file: load(file) for file in records}
    for file, record in loaded.items():
        source = record.attrs.get("source")
        require(source == "train", "records", "records of python -m validation.train", f"{file} ({source})")
    folder = Path(out) if out else Path(records[0]).parent
    if keep_in:
        check(loaded, Path(keep_in))
    found = []
    for file, record in loaded.items():
        found.append(results(file, record, folder))
        if keep_in:
            keep(record, Path(keep_in))
        if not json:
            show(found[-1])
    shown = [record for record in loaded.values() if _turned(record)]
    if len(shown) > 1:
        from validation.compare import figure

        panels = dict(zip(titles(shown), shown, strict=True))
        together = figure.write(lambda: figure.rotation_figure(panels), folder / "rotations.png")
        if not json:
            print(f"figure of all: {together}")
    if json:
        _print(found)
    return DONE if all(c["holds"] for one in found for c in one["identities"]) else CLAIM_FAILED


def _print(found: list[dict[str, Any]]) -> None:
    emit({"records": found})


def main(args: Sequence[str] | None = None) -> int:
    """``python -m validation.compare``; returns the exit code."""
    return guarded(lambda: tyro.cli(compare, prog="python -m validation.compare", args=args))
