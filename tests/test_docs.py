"""What the documents say can be done is done here: every command and every piece of Python."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import os
import re
import runpy
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from sde_si import LOSSES, METHODS, NOISES, SCHEDULES, BadInput
from sde_si.__main__ import main
from sde_si.record import SCHEMA
from sde_si.verify import CLAIMS
from sde_si.verify.markdown import plain, write_pages
from sde_si.verify.notebook import check

ROOT = Path(__file__).parent.parent
PAGES = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}


def blocks(language):
    for page, text in PAGES.items():
        yield from ((page, code) for code in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL))


LINES = [line.partition("#")[0].strip() for _, code in blocks("bash") for line in code.splitlines()]
# a command that two pages name is run once
COMMANDS = [line for line in dict.fromkeys(LINES) if line.startswith("sde-si")]
ENVIRONMENT = os.environ | {"MPLBACKEND": "Agg", "COLUMNS": "120"}
TRAININGS = [line for line in PAGES["networks.md"].splitlines() if line.startswith("python -m validation.train")]
# What follows a line as it stands is given to it again, smaller: the last word counts. As they stand: the slow tests.
SMALLER = {
    r"sde-si simulate(?!.*--(theory|list|dry-run|data))": "--dim 32 --paths 8",
    r"sde-si simulate.*--data": "--epochs 3",
    r"sde-si sphere$": "--effective-lr 0.1,0.3 --iterations 1500 --starts 4",
    r"sde-si sphere .": "--iterations 1500 --starts 4",
    r".*validation.train.*--epochs 60": "--epochs 3 --seeds 1 --lags 1,4 --response 1",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with what the commands name: data, a user's loss, a sweep's file, two records."""
    folder = tmp_path_factory.mktemp("docs")
    rng = np.random.default_rng(0)
    np.save(folder / "DATA.npy", rng.standard_normal((600, 12)) * np.linspace(3, 0.1, 12))
    [losses] = [code for page, code in blocks("python") if code.startswith("# rayleigh.py")]
    (folder / "rayleigh.py").write_text(losses)
    [study] = [code for page, code in blocks("toml") if code.startswith("# study.toml")]
    (folder / "study.toml").write_text(study)
    for name, seed in (("RECORD", "1"), ("OTHER", "2")):
        run = ["simulate", "--N", "640", "--dim", "8", "--epochs", "2", "--method", "sgd", "--seed", seed, "--quiet"]
        subprocess.run(
            [sys.executable, "-m", "sde_si", *run], cwd=folder, env=ENVIRONMENT, check=True, capture_output=True
        )
        [record] = (folder / "runs").glob("simulate-sgd-*.nc")
        record.rename(folder / name)
    return folder


def sized(lines):
    """Each line as it is run in the quick tests, and, where that is not as it stands, as it stands."""
    for line in lines:
        less = "".join(f" {words}" for pattern, words in SMALLER.items() if re.match(pattern, line))
        yield pytest.param(line + less, id=line + less)
        if less:
            yield pytest.param(line, id=line, marks=pytest.mark.slow)


def test_every_kind_that_is_made_smaller_is_documented():
    for pattern in SMALLER:
        assert any(re.match(pattern, line) for line in (*COMMANDS, *TRAININGS)), pattern


@pytest.mark.parametrize("line", list(sized(COMMANDS)))
def test_every_documented_command(line, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    Path("runs").mkdir(exist_ok=True)
    arguments = ["RECORD" if "*" in word else word for word in shlex.split(line)[1:]]
    assert main(arguments) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("line", list(sized(TRAININGS)))
def test_every_documented_training(line, tmp_path):
    pytest.importorskip("sklearn")
    words = [sys.executable, *shlex.split(line)[1:], "--out", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "angle per epoch" in done.stdout


@pytest.mark.parametrize(("page", "code"), list(blocks("python")))
def test_every_documented_piece_of_python(page, code, folder, monkeypatch):
    """A file, as a reader would make it: a function typed after -c has no source that a digest could cover."""
    named = re.match(r"# (\w+\.py)\n", code)
    name = named[1] if named else "snippet.py"
    (folder / name).write_text(code)
    if "__main__" in code:  # it starts processes that import it
        command = [sys.executable, name]
        done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{page}: {done.stderr}"
    else:
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(folder))
        runpy.run_path(name, run_name="__main__")


def test_every_entry_is_documented():
    for page, names in {
        "losses.md": LOSSES,
        "methods.md": [*METHODS, *NOISES],
        "record.md": SCHEMA,
    }.items():
        assert [name for name in names if f"`{name}`" not in PAGES[page]] == []
    assert all(f.__doc__ for f in SCHEDULES.values())


def test_no_link_leads_nowhere():
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        links = re.findall(r"\]\((?!https?:)([^)#\s]+)\)", path.read_text())
        generated = [f"claims/{name}" for name in pages_of_the_claims()]
        assert [link for link in links if link not in generated and not (path.parent / link).exists()] == []


@functools.cache
def pages_of_the_claims():
    """The generated pages, name to text."""
    with tempfile.TemporaryDirectory() as folder:
        return {path.name: path.read_text() for path in write_pages(Path(folder) / "claims")}


def test_the_pages_of_the_claims_hold_every_claim_and_execute_it():
    pages = pages_of_the_claims()
    for claim in CLAIMS.values():
        [page] = [name for name, text in pages.items() if f'check("{claim.id}", records)' in text]
        assert f"(claim-{claim.id})=\n## {claim.id}\n" in pages[page]
        assert f"[{claim.id}](#claim-{claim.id})" in pages["index.md"]
        assert f"--claims {claim.id} --seed 0" in pages[page]
    targets = set(re.findall(r"^\((t-\d+-\d+)\)=", PAGES["theory.md"], re.MULTILINE))
    linked = {target for text in pages.values() for target in re.findall(r"\(#(t-\d+-\d+)\)", text)}
    assert linked
    assert linked <= targets


def test_pages_of_claims_that_are_gone_are_removed_and_others_kept(tmp_path):
    (tmp_path / "gone.md").write_text("old")
    written = write_pages(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in written}
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert {path: path.stat().st_mtime_ns for path in write_pages(tmp_path)} == times


def test_text_of_a_claim_is_not_read_as_markup():
    from markdown_it import MarkdownIt

    text = r"a_b_c *x* |y| <b> [z](w) $u$ `v` #1 ~2~ c^2 \alpha"
    [inline] = [token for token in MarkdownIt().parse(plain(text)) if token.type == "inline"]
    assert "".join(token.content for token in inline.children) == text


def test_every_section_of_the_theory_has_its_number_and_target():
    text = PAGES["theory.md"]
    headings = re.findall(r"^\((t-\d+-\d+)\)=\n### (\d+)\.(\d+) \S", text, re.MULTILINE)
    assert len(headings) == len(re.findall(r"^### ", text, re.MULTILINE)) >= 136
    assert all(target == f"t-{chapter}-{section}" for target, chapter, section in headings)
    assert len({target for target, *_ in headings}) == len(headings)
    # Formulas: what opens closes.
    assert all(part.count("{") == part.count("}") for part in text.split("\n\n"))
    assert all(part.replace("\\$", "").count("$") % 2 == 0 for part in text.split("\n\n"))


def test_a_checked_claim_is_shown_and_a_wrong_verdict_is_an_error(tmp_path):
    shown = check("telescoping", tmp_path)
    assert all(f"<small>{one.system}</small>" in shown._repr_html_() for one in shown.result.measurements)
    with pytest.raises(AssertionError, match="telescoping: refuted, expected fails"):
        check(dataclasses.replace(CLAIMS["telescoping"], expected="fails", check=_with_truth), tmp_path)
    with pytest.raises(BadInput, match="claim"):
        check("nonsense", tmp_path)


def _with_truth(rng):
    return [dataclasses.replace(one, truth=2 * one.predicted) for one in CLAIMS["telescoping"].check(rng)]


def test_the_reference_names_what_there_is():
    """Every object of docs/api.md is there (without building the pages)."""
    text = (Path(__file__).parent.parent / "docs" / "api.md").read_text()
    module, seen = "", 0
    for kind, name in re.findall(r"^\.\. (currentmodule|auto\w+):: (\S+)", text, re.MULTILINE):
        if kind in ("currentmodule", "automodule"):
            module = name
            importlib.import_module(name)
            continue
        where, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(where or module), last), f"{name} is not in {where or module}"
        seen += 1
    assert seen > 20
