"""Figures of the papers: found by name, drawn with labels, checked against the configuration, without torch."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import made_records
import numpy as np
import pytest

from paper_figs import cli, drawing, gallery, simulated, style
from paper_figs.scripts import FOLDER, SIMULATED, scripts
from sde_si.errors import DONE, UNFINISHED, BadInput
from sde_si.record import save
from validation import experiments

records = made_records.records

ROOT = Path(__file__).resolve().parent.parent
NAMES = list(scripts())
FORMS = ("png", "pdf", "svg")
WITH_RECORDS = [name for name in NAMES if scripts()[name].experiments]

# Seven tables share one function, five figures another: most of them are drawn in the long run only.
FINDINGS = FOLDER.parent / "findings"
ALIKE = [f"yun-table{k}" for k in (2, 3, 4, 6, 7)] + [f"yun-fig{k}" for k in (4, 6, 7)]


def test_every_script_says_what_it_is():
    for one in scripts().values():
        assert one.title
        assert one.text
        assert "et al." in one.source or "Li, Malladi" in one.source, one.name
        assert set(one.experiments) <= set(experiments.EXPERIMENTS), one.name
        tree = ast.parse((FOLDER / f"{one.name.replace('-', '_')}.py").read_text())
        assert "draw" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_figures_draw_and_findings_measure():
    lines = {path.name: len(path.read_text().splitlines()) for path in FOLDER.glob("[!_]*.py")}
    assert {name: count for name, count in lines.items() if count > 60} == {}
    findings = list(FINDINGS.glob("[!_]*.py"))
    assert {path.name for path in findings} <= lines.keys()
    for path in findings:
        text = path.read_text()
        assert f"paper_figs.findings.{path.stem} import" in (FOLDER / path.name).read_text()
        assert not re.search(r"^\s*(import|from) (matplotlib|paper_figs\.figures)", text, re.MULTILINE), path
        assert len(text.splitlines()) <= 150, path


def test_figures_and_experiments_name_each_other():
    named = {(name, figure) for name, one in experiments.EXPERIMENTS.items() for figure in one.figures}
    assert named == {(needed, one.name) for one in scripts().values() for needed in one.experiments}


def test_list_names_every_script(capsys):
    assert cli.main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in NAMES if name not in shown] == []
    assert cli.main(["lag-cosine, yun-fig3", "--list", "--json"]) == 0
    needed = {name: one["needs"] for name, one in json.loads(capsys.readouterr().out).items()}
    assert needed == {"lag-cosine": [SIMULATED], "yun-fig3": ["yun-table1"]}


@pytest.mark.parametrize("name", [name for name in NAMES if scripts()[name].simulates])
def test_committed_simulations_belong_to_the_present_configuration(name):
    one = scripts()[name]
    record = simulated.load(one)
    assert record is not None
    assert record.attrs["digest"] == simulated.digest(one), f"python -m paper_figs {name} --recompute"
    assert simulated.path(one).stat().st_size < 300 * 1024


@pytest.mark.parametrize("name", [name for name in experiments.EXPERIMENTS if experiments.present(name)])
def test_committed_records_of_networks_belong_to_the_present_configuration(name):
    for scale in experiments.present(name):
        assert experiments.load(name, scale).attrs["digest"] == experiments.current(name, scale)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in ALIKE)) for n in NAMES])
def test_every_figure_draws_with_labels_and_units(name, records):
    one = scripts()[name]
    own = {SIMULATED: simulated.load(one)} if one.simulates else {}
    drawn = one.draw(own | {key: records[key] for key in one.experiments})
    assert "nan" not in drawn.seen.replace("Gaussian", "")
    axes = [axis for axis in drawn.figure.axes if axis.axison]
    assert all(axis.get_xlabel() for axis in axes if axis.get_legend_handles_labels()[0])
    assert drawn.tables or axes
    assert drawn.seen.endswith(".")
    assert "  " not in drawn.seen
    for table in drawn.tables:
        assert table.latex().isascii()
        assert ".." not in table.latex()


def test_a_table_is_written_in_all_forms(tmp_path, monkeypatch, capsys, records):
    monkeypatch.setattr(drawing, "records_of", lambda *_: drawing.Found({"yun-table1": records["yun-table1"]}, [], []))
    assert cli.main(["yun-table1", "--out", str(tmp_path), "--format", ",".join(FORMS)]) == 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".pdf", ".svg", ".md", ".tex"}
    markdown = (tmp_path / "yun-table1.md").read_text()
    assert markdown.count("**") > 2 * 6
    assert "†" in markdown
    latex = (tmp_path / "yun-table1.tex").read_text()
    assert latex.count(r"\cellcolor") == latex.count(r"$^\dagger$") - latex.count(r"\caption") > 0
    assert latex.count(r"\begin{table}") == latex.count(r"\end{table}") == latex.count(r"\caption") > 0
    assert "rank correlation" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such-figure"], "NAME: expected"),
        (["yun-fgi3"], "try yun-fig3"),
        ([","], "NAME: expected names with commas between them, got ','"),
        (["--format", "bmp"], "--format"),
        (["--scale", "huge"], "--scale"),
    ],
)
def test_bad_input_is_refused(words, said, capsys):
    assert cli.main(words) == 2
    found = capsys.readouterr()
    assert said in found.err
    assert "expected" in found.err
    assert found.out == ""


def test_check_accepts_what_belongs_and_refuses_what_does_not(tmp_path, monkeypatch, capsys):
    one = scripts()["lag-cosine"]
    good = simulated.load(one)
    assert good is not None
    monkeypatch.setattr(simulated, "FOLDER", tmp_path)
    assert cli.main(["lag-cosine", "--check", "--quiet"]) == 5  # pending
    assert cli.main(["lag-cosine", "--out", str(tmp_path / "out")]) == 5
    assert "pending" in capsys.readouterr().err
    save(good, simulated.path(one))
    assert cli.main(["lag-cosine", "--check"]) == 0
    good.attrs["digest"] = "0" * 64
    save(good, simulated.path(one))
    assert cli.main(["lag-cosine", "--check"]) == 1
    assert "lag-cosine" in capsys.readouterr().err
    assert cli.main(["lag-cosine", "--out", str(tmp_path / "out")]) == 1
    assert "lag-cosine [of an older configuration: lag-cosine]: " in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--check"], []], ids=["check", "draw"])
def test_bad_files_are_all_named_and_stop_nothing_else(words, tmp_path, monkeypatch, capsys):
    there = {name: simulated.path(scripts()[name]).read_bytes() for name in ("lag-cosine", "svag-theory", "wan-theory")}
    monkeypatch.setattr(simulated, "FOLDER", tmp_path)
    *most, last = there["lag-cosine"]
    (tmp_path / "lag-cosine.nc").write_bytes(bytes([*most, last ^ 1]))
    (tmp_path / "svag-theory.nc").write_bytes(there["wan-theory"])
    (tmp_path / "wan-theory.nc").write_bytes(there["wan-theory"])
    assert cli.main([",".join(there), "--out", str(tmp_path / "out"), *words]) == 4
    said = capsys.readouterr().err
    assert "lag-cosine.nc: damaged: its numbers are not those that were written (checksum); restore it, or" in said
    assert "svag-theory.nc: the record of wan-theory, not of svag-theory; restore it, or make it again: " in said
    assert words or [path.name for path in (tmp_path / "out").iterdir()] == ["wan-theory.png"]


def test_check_refuses_an_experiments_foreign_record(monkeypatch, records):
    record = records["yun-table5"].copy()
    monkeypatch.setattr(drawing, "records_of", lambda *_: drawing.Found({"yun-table5": record}, [], []))
    assert cli.main(["yun-table5", "--check", "--quiet"]) == 0
    record.attrs["digest"] = "another"
    assert cli.main(["yun-table5", "--check", "--quiet"]) == 1


def test_a_changed_simulation_has_another_digest(monkeypatch):
    one = scripts()["svag-theory"]
    before = simulated.digest(one)
    assert simulated.digest(one) == before
    monkeypatch.setattr(one.module, "U", 0.021)
    assert simulated.digest(one) != before


def test_collect_keeps_means_and_their_errors():
    from sde_si.verify.claims.common import run

    runs = {"a": run(N=640, B=64, dim=16, epochs=3, paths=8), "b": run(N=640, B=64, dim=16, epochs=2, paths=8, lr=0.2)}
    record = simulated.collect(runs)
    assert record["angle_epoch"].dims == ("cell", "epoch")
    assert np.isnan(record["angle_epoch"].values[1, 2])
    assert record["lr"].values.tolist() == [0.1, 0.2]
    assert (record["angle_epoch_stderr"].values[0] > 0).all()
    assert set(simulated.collect(runs, keep=("weight_norm",)).data_vars) == {"weight_norm", "weight_norm_stderr"}


def test_drawing_needs_no_torch(tmp_path):
    code = f"""
import sys
from paper_figs.cli import main
from paper_figs.scripts import scripts
code = main(["lag-cosine,yun-paper", "--out", {str(tmp_path)!r}, "--quiet"])
[one.module for one in scripts().values()]
assert "torch" not in sys.modules
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "lag-cosine.png").stat().st_size < gallery.LARGEST


@pytest.mark.slow
def test_the_gallery_is_what_the_records_say_without_torch(tmp_path):
    """All figures from committed records; texts, tables and numbers of the page are theirs."""
    (tmp_path / "torch.py").write_text("raise AssertionError('drawing imports torch')")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "paper_figs", "--gallery", str(tmp_path), "--quiet"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (DONE, UNFINISHED), done.stderr  # the latter while an experiment has no record
    assert (tmp_path / "gallery.md").read_text() == (ROOT / "docs" / "gallery.md").read_text()


def test_processes_draw_what_one_draws(tmp_path, monkeypatch):
    names = ["yun-table5", "reshuffling-theory", "yun-table1"]
    options = cli.parse(cli.Options, "paper_figs", ["--out", str(tmp_path / "one")])
    orders = [drawing.Order.of(scripts()[name], options) for name in names]
    alone = list(drawing.each(orders))
    monkeypatch.setattr(drawing, "FEW", 1)
    monkeypatch.setattr(drawing, "usable_cores", lambda: 2)
    found = list(drawing.each([order._replace(out=str(tmp_path / "two")) for order in orders]))
    assert [one["seen"] for one in found] == [one["seen"] for one in alone]
    for entry, other in zip(found, alone, strict=True):
        assert [Path(file).read_bytes() for file in entry["files"]] == [Path(f).read_bytes() for f in other["files"]]


@pytest.mark.parametrize("name", ["yun-quantified", "yun-paper", "yun-table5", "tricks-table"])
def test_numbers_of_the_page_are_those_of_the_records(name):
    one = scripts()[name]
    records = drawing.records_of(one, "cpu").records
    drawn = one.draw(records)
    entry = {"tables": [table.markdown() for table in drawn.tables], "seen": drawn.seen}
    assert gallery.section(name, entry) in (ROOT / "docs" / "gallery.md").read_text()


def test_nobody_imports_the_figures():
    files = [*(ROOT / "sde_si").rglob("*.py"), *(ROOT / "validation").rglob("*.py")]
    outside = re.compile(r"^\s*(import|from) paper_figs", re.MULTILINE)
    assert [path for path in files if outside.search(path.read_text())] == []


def test_the_gallery_shows_every_figure():
    page = (ROOT / "docs" / "gallery.md").read_text()
    for name, one in scripts().items():
        assert f"## {one.title}\n" in page, name
        picture = ROOT / "docs" / gallery.PICTURES / f"{name}.png"
        if picture.exists():
            assert f"]({gallery.PICTURES}/{name}.png)" in page
            assert picture.stat().st_size <= gallery.LARGEST
    kept = {path.stem for path in (ROOT / "docs" / gallery.PICTURES).glob("*.png")}
    assert kept <= set(NAMES)


def test_markers_differ_without_colour():
    assert len(set(style.MARKERS)) == len(style.MARKERS)
    assert style.picks(10).tolist() == list(range(10))
    assert style.picks(1000, log=True).size <= style.POINTS


def test_a_scale_that_is_none_is_refused_before_any_work():
    with pytest.raises(BadInput, match="names"):
        cli._main(["no-such"])


def test_checking_and_making_anew_are_two_things(capsys):
    assert cli.main(["--check", "--recompute"]) == 2
    assert "expected either --check or --recompute" in capsys.readouterr().err
