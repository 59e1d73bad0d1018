"""Claims: the exact ones for any seed, the rules of the verdicts, the command line."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from sde_si.verify import CLAIMS, VERDICTS, Measurement, Quantity, Result, cli
from sde_si.verify.claim import ERRORS, REFUTED, UNDECIDED
from sde_si.verify.sheet import rule

EXACT = [claim for claim in CLAIMS.values() if claim.check is not None and claim.expected == "exact"]
HOLDS, FAILS = CLAIMS["norm"], CLAIMS["yun-18"]
WHAT = Quantity("a number", "made up")


@pytest.mark.parametrize("claim", EXACT, ids=lambda claim: claim.id)
@pytest.mark.parametrize("seed", range(5))
def test_an_identity_holds_and_its_wrong_variant_does_not(claim, seed):
    result = Result(claim, claim.check(np.random.default_rng(seed)), 0.0)
    assert result.as_expected
    assert result.controls


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_a_claim_says_all_that_a_reader_needs(claim):
    texts = (claim.id, claim.source, claim.statement, claim.formula, claim.assumes, claim.wrong)
    assert all(texts)
    assert "theory.md" in claim.source
    assert claim.expected in VERDICTS
    assert 0 < claim.allowed < 0.1
    assert (claim.runs is None) == (claim.measure is None)
    if claim.expected == "fails":
        assert claim.broken
        assert CLAIMS[claim.corrected].expected in ("holds", "approximate")
    if claim.expected == "approximate":
        assert claim.broken, "the range in which it holds"


def _holds(measured, stderr):
    claim = dataclasses.replace(HOLDS, tolerance={"all": 0.03})
    return claim.verdict(Measurement(quantity=WHAT, system="", predicted=1.0, measured=measured, stderr=stderr))


def test_holds_needs_precision_and_agreement():
    assert _holds(1.02, 0.001) == "holds"
    assert _holds(1.0, 0.011) == UNDECIDED
    assert _holds(1.1, 0.001) == REFUTED
    assert _holds(1.04, 0.009) == "holds", "within five standard errors"
    assert _holds(float("nan"), 0.001) == UNDECIDED


def test_a_precise_measurement_may_not_hide_behind_a_planned_error():
    """Of the statistical part of a tolerance no more counts than seven measured standard errors."""
    claim = dataclasses.replace(HOLDS, tolerance={"Monte Carlo, 3 s.e.": 0.03, "theory": 0.001})
    found = [Measurement(quantity=WHAT, system="", predicted=1.0, measured=m, stderr=0.001) for m in (1.0075, 1.009)]
    verdicts = [claim.verdict(one) for one in found]
    assert verdicts == ["holds", REFUTED]


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [(0.8, "fails"), (0.77, "fails"), (0.7, REFUTED), (0.999, REFUTED), (1.2, REFUTED)],
)
def test_a_bug_cannot_refute_a_formula(measured, verdict):
    """It fails only by the deviation that theory predicts (here -0.2)."""
    claim = dataclasses.replace(FAILS, tolerance={"all": 0.01})
    one = Measurement(quantity=WHAT, system="", predicted=1.0, measured=measured, stderr=0.001, truth=0.8)
    assert claim.verdict(one) == verdict


def test_command_line(tmp_path, capsys):
    chosen = ["--claims", "telescoping,yun-18,epoch-cosine", "--out", str(tmp_path), "--quiet"]
    assert cli.main([*chosen, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["id"] for row in rows} == {"telescoping", "yun-18", "epoch-cosine"}
    assert all(row["verdict"] == row["expected"] and row["wrong_rejected"] for row in rows)
    files = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.nc")}
    assert len(files) == 2, "the two claims share a run"
    assert cli.main([*chosen, "--controls"]) == 0
    assert "3 of 3 claims as expected" in capsys.readouterr().out
    assert files == {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.nc")}


def test_an_unexpected_verdict_is_exit_code_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(CLAIMS, "telescoping", dataclasses.replace(CLAIMS["telescoping"], tolerance={"none": 0.0}))
    assert cli.main(["--claims", "telescoping", "--out", str(tmp_path), "--quiet"]) == 1
    assert "telescoping: refuted, expected exact" in capsys.readouterr().out


def test_the_list_as_json(capsys):
    assert cli.main(["--list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == list(CLAIMS)
    assert all(row["expected"] in VERDICTS and row["symbols"] is not None for row in rows)


def test_no_folder_is_bad_input(capsys):
    assert cli.main(["--claims", "norm", "--out", ""]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--out" in captured.err


@pytest.mark.parametrize("words", [["--claims", "nonsense"], ["--seed", "-1"], ["--threads", "0"]])
def test_bad_input(words, tmp_path, capsys):
    assert cli.main([*words, "--out", str(tmp_path / "o")]) == 2
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
def test_every_claim_and_every_control(tmp_path):
    out = ["--out", str(tmp_path), "--quiet"]
    assert cli.main(out) == 0
    assert cli.main([*out, "--controls"]) == 0


def test_an_error_that_is_rounding_gives_no_z():
    common = {"quantity": Quantity("a", "computed"), "system": "b", "predicted": 1.0, "wrong": 2.0}
    assert math.isnan(Measurement(**common, measured=1 + 2e-16, stderr=1e-17).z)
    assert Measurement(**common, measured=1.2, stderr=0.1).z == pytest.approx(2.0)


def test_the_rule_that_is_printed_is_the_rule_that_is_applied():
    """3.8 % off is within 3.5 % and chance: the systematic part and the standard errors add up."""
    claim = CLAIMS["reshuffling"]
    error = 0.4 * claim.systematic / ERRORS
    assert f"{100 * claim.systematic:.3g} % plus {ERRORS:.0f} s.e." in rule(claim)
    for off, fits in ((1.3 * claim.systematic, True), (3 * claim.systematic, False)):
        one = Measurement(quantity=Quantity("a", "b"), system="c", predicted=1.0, measured=1 + off, wrong=9.0,
                          stderr=error)  # fmt: skip
        assert (abs(one.measured - 1) <= claim.margin(1.0, error)) == fits
