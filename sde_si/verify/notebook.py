"""Claims in a notebook: measured where they are shown, and an error if one does not come out as expected."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from pathlib import Path

from sde_si.errors import require
from sde_si.machine import usable_cores
from sde_si.verify import figures, html
from sde_si.verify.claim import Claim, Result
from sde_si.verify.claims import CLAIMS
from sde_si.verify.report import repeat
from sde_si.verify.runner import FULL, QUICK, verify
from sde_si.verify.sheet import COLUMNS, cells, measured


@dataclass(frozen=True)
class Shown:
    """A measured claim; a notebook displays its table and its figure."""

    result: Result

    def _repr_html_(self) -> str:
        source = base64.b64encode(figures.png(self.result)).decode()
        alt = escape(figures.describe_figure(self.result))
        how = f"<p>{html.terms(measured(self.result))}.</p>" if self.result.measurements else ""
        return f'{html.table(cells(self.result), COLUMNS)}{how}<img alt="{alt}" src="data:image/png;base64,{source}">'


def check(claim: str | Claim, folder: Path | str = "./runs/verify", *, seed: int = 0, full: bool = False) -> Shown:
    """Measure a claim and insist on its verdict.

    Parameters
    ----------
    claim : str or Claim
        A name in `sde_si.verify.CLAIMS`, or a claim of your own.
    folder : Path or str
        Where records are kept; one that exists is used again.
    seed : int
        Decides every random number.
    full : bool
        Eight times as many paths.

    Returns
    -------
    Shown
        With the `Result` as its attribute `result`.

    Raises
    ------
    BadInput
        If there is no claim of that name.
    AssertionError
        If the verdict is not the expected one, or the same data do not reject the wrong variant.
    """
    if isinstance(claim, str):
        require(claim in CLAIMS, "claim", "a name in CLAIMS", repr(claim), next(iter(CLAIMS)))
        claim = CLAIMS[claim]
    scale = FULL if full else QUICK
    [result] = verify([claim], folder=Path(folder), scale=scale, seed=seed, threads=usable_cores())
    said = f"{claim.id}: {result.verdict}, expected {claim.expected} ({repeat(claim, seed=seed, full=full)})"
    assert result.as_expected, said
    assert result.controls, f"{claim.id}: the wrong variant is not rejected ({claim.wrong})"
    return Shown(result)
