"""The tables and figures of ``docs/networks.md`` from the committed records: ``python -m validation.compare.page``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from sde_si import style
from validation.compare import figure, tables
from validation.compare.compared import Compared
from validation.compare.keep import RECORDS, title_of, titles

PAGE = Path(__file__).resolve().parents[2] / "docs" / "networks.md"
EXAMPLE = "si-mlp-fashion-mnist-flip-shift-sgdm"  # the record whose course is drawn
EPOCHS = (1, 10)  # lags of the tables


def main(page: Path = PAGE, folder: Path = RECORDS) -> int:
    """Write tables and figures; returns the exit code."""
    from sde_si.disk import write_bytes

    every = {file.stem: Compared.of(file) for file in sorted(folder.glob("*.nc"))}
    drawn = [one for one in every.values() if not one.reshuffled]
    parts: dict[str, Callable[[], str]] = {"norms": lambda: tables.norms(drawn)}
    parts |= {f"rotation {n}": lambda n=n: tables.rotation(drawn, n) for n in EPOCHS}
    parts |= {"verdicts": lambda: tables.verdicts(drawn), "split": lambda: tables.splits(list(every.values())),
              "reshuffling": lambda: tables.reshuffling(list(every.values()))}  # fmt: skip
    text = page.read_text()
    for name, make in parts.items():
        marked = rf"(<!-- {name} -->\n).*?(\n<!-- end -->)"
        made = make()
        text, count = re.subn(marked, lambda m, made=made: m[1] + made + m[2], text, flags=re.DOTALL)
        assert count == 1, name
    write_bytes(text.encode(), page)
    shown = [one.record for one in drawn if "response" in one.record]
    answered = dict(zip(titles(shown), shown, strict=True))
    style.save(lambda: figure.rotation_figure(answered), page.with_name("networks-rotation.png"), dpi=figure.DPI)
    one = every[EXAMPLE]
    style.save(
        lambda: figure.overlay_figure(one.record, one.simulations, title_of(one.record)),
        page.with_name("networks-overlay.png"),
        dpi=figure.DPI,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
