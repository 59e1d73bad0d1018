"""Figures and report of the claims: what is drawn and written is what was measured."""

from __future__ import annotations

import dataclasses
import json
import shlex
from html.parser import HTMLParser

import numpy as np
import pytest

from sde_si.options import parse
from sde_si.simulate.cli import resolve_all
from sde_si.simulate.options import Options
from sde_si.verify import (
    CLAIMS,
    Curve,
    Measurement,
    Quantity,
    Result,
    claims,
    cli,
    figures,
    glossary,
    html,
    report,
    sheet,
)
from sde_si.verify.claims import common
from sde_si.verify.sheet import command

NONE = {"area", "base", "br", "col", "hr", "img", "link", "meta", "wbr"}
X = np.arange(1.0, 9.0)
CURVE = Curve(x=X, measured=X**2 + 0.1, stderr=0.2, lines={"k^2": X**2, "k^3": X**3}, xlabel="step", ylabel="loss",
              log="xy")  # fmt: skip


WHAT = Quantity("angle of a step", "mean over <paths>", "rad")


def one(**more):
    return Measurement(
        **({"quantity": WHAT, "system": "a", "predicted": 1.0, "measured": 1.001, "stderr": 0.001, "wrong": 1.5} | more)
    )


def result(*measurements, claim="norm", **more):
    return Result(dataclasses.replace(CLAIMS[claim], **more), measurements, 0.1)


def test_a_curve_is_points_with_error_bars_and_the_right_line_is_solid():
    [axis] = figures.figure(result(one(curve=CURVE))).axes
    [bars] = axis.containers
    np.testing.assert_array_equal(bars.lines[0].get_ydata(), CURVE.measured)
    lines = {line.get_label(): line for line in axis.get_lines() if line.get_label() in CURVE.lines}
    np.testing.assert_array_equal(lines["k^3"].get_ydata(), X**3)
    assert [lines[name].get_linestyle() for name in CURVE.lines] == ["-", "--"]
    assert (axis.get_xscale(), axis.get_yscale(), axis.get_xlabel()) == ("log", "log", "step")


def test_a_row_shows_the_number_the_tolerance_and_the_wrong_variant():
    [axis] = figures.figure(result(one(), one(predicted=2.0, measured=1.9))).axes
    bars = [c.lines[0].get_xdata()[0] for c in axis.containers]
    assert bars == pytest.approx([0.1, -5.0])
    [band] = axis.patches
    half = 100 * CLAIMS["norm"].allowed
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((-half, half))
    crosses = [line.get_xdata()[0] for line in axis.get_lines() if line.get_marker() == "X"]
    assert crosses == pytest.approx([50.0, -25.0])


def test_a_failing_claim_shows_what_the_corrected_theory_says():
    [axis] = figures.figure(result(one(measured=0.8, truth=0.8), claim="yun-18")).axes
    [diamond] = [line for line in axis.get_lines() if line.get_marker() == "D"]
    assert diamond.get_xdata()[0] == pytest.approx(-20.0)


@pytest.mark.parametrize(
    "measurements",
    [
        [],
        [one(measured=float("nan"))],
        [one(predicted=0.0, measured=1e-17, stderr=0.0, wrong=0.1)],
        [one(wrong=float("nan"))],
        [one(wrong=float("inf"))],
        [one(curve=CURVE), one(), one(curve=CURVE), one(curve=dataclasses.replace(CURVE, log=""))],
        [one(curve=dataclasses.replace(CURVE, x=X - 1, measured=0 * X, lines={}))],
        [one(system="a very long name of a system " * 8)] * 12,
    ],
)
def test_every_figure_is_drawn_the_same_each_time(measurements):
    drawn = figures.png(result(*measurements))
    assert drawn.startswith(b"\x89PNG")
    assert drawn == figures.png(result(*measurements))


class Page(HTMLParser):
    """Tags, links, anchors and text of a page; asserts that tags are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.anchors, self.text = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open += [] if tag in NONE else [tag]
        for name, value in attrs:
            self.links += [value] if name in ("href", "src", "srcset", "data", "action") else []
            self.anchors += [value] if name == "id" else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_report_needs_nothing_else_and_every_link_leads_somewhere():
    results = [result(one(system="<b>&amp;"), one(curve=CURVE)), result(one(measured=0.8, truth=0.8), claim="yun-18")]
    text = html.page(results, {r.claim.id: b"\x89PNG" for r in results}, seed=7, full=True)
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert "url(" not in text
    assert "@import" not in text
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.anchors)
    assert len(set(page.anchors)) == len(page.anchors)
    assert "<b>&amp;" in page.text, "shown as it is, not read as markup"
    assert "python -m sde_si.verify --claims yun-18 --seed 7 --full" in page.text
    assert "python -m sde_si.verify --claims norm,yun-18 --seed 7 --full" in page.text


def test_report_and_table_say_the_same(tmp_path, capsys):
    chosen = ["--claims", "telescoping,yun-18,epoch-cosine", "--out", str(tmp_path), "--quiet", "--seed", "3"]
    assert cli.main([*chosen, "--json", "--report", str(tmp_path / "r" / "report.html")]) == 0
    rows = json.loads(capsys.readouterr().out)
    page = Page((tmp_path / "r" / "report.html").read_text())
    for row in rows:
        assert f"{row['predicted']:.6g}" in page.text
        assert row["repeat"] in page.text
        assert (tmp_path / f"{row['id']}.png").read_bytes().startswith(b"\x89PNG")
        assert row["figure"] == str(tmp_path / f"{row['id']}.png")
    # The printed command gives the same numbers, whatever else was asked for.
    again = rows[-1]["repeat"].split()[3:]
    assert cli.main([*again, "--json", "--no-figure", "--out", str(tmp_path / "again"), "--quiet"]) == 0
    repeated = json.loads(capsys.readouterr().out)
    assert [row["measured"] for row in repeated] == [r["measured"] for r in rows if r["id"] == repeated[0]["id"]]
    assert not list((tmp_path / "again").glob("*.png"))


def test_a_report_that_cannot_be_written_is_refused_before_any_work(tmp_path, capsys):
    (tmp_path / "file").touch()
    out = ["--claims", "telescoping", "--out", str(tmp_path / "out"), "--report"]
    assert cli.main([*out, str(tmp_path)]) == 2
    assert cli.main([*out, str(tmp_path / "file" / "report.html")]) == 4
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "out").exists()


def test_a_row_says_what_the_number_is_and_the_page_how_it_is_measured():
    found = result(one(), one(quantity=Quantity("cosine", "of two weights")))
    rows = report.to_json(found)
    assert [(row["quantity"], row["unit"], row["how"]) for row in rows] == [
        ("angle of a step", "rad", "mean over <paths>"),
        ("cosine", "1", "of two weights"),
    ]
    shown = [cell["quantity and system"] for cell in sheet.cells(found)]
    assert shown == ["angle of a step [rad]\na", "cosine\na"]
    page = Page(html.page([found], {"norm": b""}, seed=0, full=False))
    assert any("mean over <paths>" in text for text in page.text)


def test_z_means_the_same_whatever_the_verdict():
    fails = one(measured=0.8, truth=0.79, stderr=0.01)
    assert (fails.z, fails.z_truth) == pytest.approx((-20, 1))
    [row] = report.to_json(result(fails, claim="yun-18"))
    assert (row["z"], row["z_truth"]) == pytest.approx((-20, 1))
    [cells] = sheet.cells(result(fails, claim="yun-18"))
    assert (cells["z"], cells["z against it"]) == ("-20.0", "+1.0")
    assert "z against it" not in sheet.cells(result(one()))[0]


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_every_symbol_of_a_formula_is_explained(claim):
    assert glossary.undefined(claim) == []
    assert all(claim.where.values())


def test_an_unknown_symbol_is_seen():
    claim = dataclasses.replace(CLAIMS["norm"], formula="|x*|^4 = lr Zq_3/(2 wd)")
    assert glossary.undefined(claim) == ["Zq"]
    assert glossary.undefined(dataclasses.replace(claim, where={"Zq": "something"})) == []


def test_a_new_file_of_claims_is_found_without_another_edit(tmp_path, monkeypatch):
    (tmp_path / "afterthoughts.py").write_text(
        "'''Afterthoughts.'''\nfrom dataclasses import replace\n"
        "from sde_si.verify.claims.identities import CLAIMS as known\n"
        "CLAIMS = (replace(known[0], id='afterthought'),)\n"
    )
    monkeypatch.setattr(claims, "__path__", [*claims.__path__, str(tmp_path)])
    files = claims.find()
    assert files[:-1] == claims.FILES
    assert list(claims.collect(files)) == [*CLAIMS, "afterthought"]
    monkeypatch.setattr(sheet, "FILES", files)
    assert (sheet.subjects()[-1].name, sheet.subjects()[-1].title) == ("afterthoughts", "Afterthoughts.")
    with pytest.raises(ValueError, match="afterthought"):
        claims.collect([*files, files[-1]])


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_the_sheet_says_everything(claim):
    said = " ".join(fact.text for fact in sheet.facts(claim))
    parts = (claim.formula, claim.source, claim.assumes, claim.wrong, claim.broken, claim.corrected, *claim.tolerance)
    assert all(part in said for part in parts)
    for run in claim.runs(1.0, 0).values() if claim.runs else ():
        hp = run.hyperparameters
        text = f"N = {hp.N}, B = {hp.B}, lr = {hp.lr:g}, wd = {hp.wd:g}, momentum = {hp.momentum:g}"
        assert f"{text}" in sheet.system(run)
        assert sheet.system(run) in said
    bound = claim.allowed / 3 if claim.expected in ("holds", "approximate") else claim.allowed
    assert sheet.relative(bound) in sheet.rule(claim)
    assert report.repeat(claim).endswith(f"--claims {claim.id} --seed 0")


def test_subjects_hold_every_claim_once():
    held = [claim.id for subject in sheet.subjects() for claim in subject.claims]
    assert sorted(held) == sorted(CLAIMS)
    assert all(common.__name__.rpartition(".")[2] != subject.name for subject in sheet.subjects())


@pytest.mark.parametrize("claim", [c for c in CLAIMS.values() if c.runs], ids=lambda claim: claim.id)
def test_the_commands_of_a_page_repeat_its_simulations(claim):
    for run in claim.runs(1.0, 0).values():
        words = shlex.split(command(run))
        if words[0] == "sde-si":
            [repeated] = resolve_all(parse(Options, "sde-si simulate", words[2:]))
            assert repeated.configuration() == run.configuration()
