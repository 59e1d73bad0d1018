"""The tables and figures of ``docs/networks.md`` from the committed records: ``python -m validation.compare.page``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sde_si.comparison import number
from sde_si.estimators import equilibrium
from sde_si.quantities import shown
from sde_si.record import configuration, load
from validation.compare import figure
from validation.compare.keep import RECORDS, kind, title_of, titles
from validation.compare.overlay import overlays
from validation.compare.response import norm_by_response
from validation.compare.rotation import ANSWERED, ASYMMETRIC, CONFINED, NOISE_ONLY, Rotation, rotations
from validation.compare.window import window

if TYPE_CHECKING:
    import xarray as xr

PAGE = Path(__file__).resolve().parents[2] / "docs" / "networks.md"
EXAMPLE = "si-mlp-fashion-mnist-flip-shift-sgdm"  # the record whose course is drawn
EPOCHS = (1, 10)  # lags of the tables
_LAWS = (NOISE_ONLY, CONFINED, ANSWERED, ASYMMETRIC)


def _name(record: xr.Dataset) -> str:
    made = configuration(record)
    plain = "" if made["augment"] else " not augmented"
    return f"`{made['network']}`, {made['data'].partition('-')[0]}{plain}, {kind(record)}, {record.sizes['path']} seeds"


def _off(measured: float, said: float, error: float = 0.0) -> str:
    """Measured over predicted, minus one; in brackets the standard error of the prediction."""
    return f"{100 * (measured / said - 1):+.1f} %" + (f" ({100 * error / said:.0f} %)" if error else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def norms(records: Mapping[str, xr.Dataset]) -> str:
    """Norm and angle per step at equilibrium beside what the simulations and the laws say."""
    rows = []
    for record in records.values():
        used = window(record)
        norm, step = (equilibrium(record, used, name) for name in ("weight_norm", "angle_step"))
        over = {one.name: equilibrium(one.record, used, "weight_norm").value for one in overlays(record)}
        degrees, answered = shown("angle_step").factor, norm_by_response(record)
        (turned,) = (one for one in rotations(record) if one.name == "one step")
        rows.append([
            _name(record), number(norm.value, error=norm.stderr), _off(norm.value, over["SDE"]),
            _off(norm.value, over["optimizer"]), "-" if answered is None else _off(norm.value, answered[0]),
            number(step.value, degrees, error=step.stderr),
            "-" if configuration(record)["svag"] > 1 else _off(turned.measured**0.5, turned.laws[NOISE_ONLY] ** 0.5),
        ])  # fmt: skip
    head = ["network", "norm", "SDE", "optimizer, noise + signal", "noise and response", "angle per step [deg]", "9.2"]
    return _table(head, rows)


def rotation(records: Mapping[str, xr.Dataset], epochs: int) -> str:
    """1 - cos at so many epochs beside the laws."""
    rows = []
    for record in records.values():
        lag = epochs * int(record["steps_per_epoch"].values[-1])
        found: list[Rotation] = [one for one in rotations(record) if one.name == f"lag {lag}"]
        if found and ANSWERED in found[0].laws:
            (one,) = found
            cells = [_off(one.measured, one.laws[law], one.errors[law]) if law in one.laws else "-" for law in _LAWS]
            rows.append([_name(record), number(one.measured, error=one.stderr), *cells])
    return _table(["network", f"1 - cos, {epochs} epoch{'s' * (epochs > 1)}", *_LAWS], rows)


def main(page: Path = PAGE, folder: Path = RECORDS) -> int:
    """Write tables and figures; returns the exit code."""
    from sde_si.disk import write_bytes

    records = {file.stem: load(file) for file in sorted(folder.glob("*.nc"))}
    drawn = {name: one for name, one in records.items() if configuration(one)["sampling"] == "replacement"}
    parts: dict[str, Callable[[], str]] = {"norms": lambda: norms(drawn)}
    parts |= {f"rotation {n}": lambda n=n: rotation(drawn, n) for n in EPOCHS}
    text = page.read_text()
    for name, make in parts.items():
        marked = rf"(<!-- {name} -->\n).*?(\n<!-- end -->)"
        made = make()
        text, count = re.subn(marked, lambda m, made=made: m[1] + made + m[2], text, flags=re.DOTALL)
        assert count == 1, name
    write_bytes(text.encode(), page)
    shown = [one for one in drawn.values() if "response" in one]
    answered = dict(zip(titles(shown), shown, strict=True))
    figure.write(lambda: figure.rotation_figure(answered), page.with_name("networks-rotation.png"))
    one = records[EXAMPLE]
    figure.write(
        lambda: figure.overlay_figure(one, overlays(one), title_of(one)), page.with_name("networks-overlay.png")
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
