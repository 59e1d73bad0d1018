"""What the documents say can be done is done here: every command and every piece of Python."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sde_si import LOSSES, METHODS, NOISES, SCHEDULES
from sde_si.record import SCHEMA

ROOT = Path(__file__).parent.parent
PAGES = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}


def blocks(language):
    for page, text in PAGES.items():
        if page != "theory.md":
            yield from ((page, code) for code in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL))


COMMANDS = [
    pytest.param(shlex.split(line, comments=True), id=line.partition("#")[0].strip())
    for _, code in blocks("bash")
    for line in code.splitlines()
    if line.startswith("sde-si")
]
ENVIRONMENT = os.environ | {"MPLBACKEND": "Agg", "COLUMNS": "120"}


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


@pytest.mark.parametrize("words", COMMANDS)
def test_every_documented_command(words, folder):
    (folder / "runs").mkdir(exist_ok=True)
    arguments = []
    for word in words[1:]:
        arguments += [str(folder / "RECORD")] if "*" in word else [word]
    done = subprocess.run(
        [sys.executable, "-m", "sde_si", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize(("page", "code"), [b for b in blocks("python") if not b[1].startswith("# rayleigh.py")])
def test_every_documented_piece_of_python(page, code, folder):
    # A file, as a reader would make it: a function typed after -c has no source that a digest could cover.
    (folder / "snippet.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "snippet.py"], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{page}: {done.stderr}"


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
        links = re.findall(r"\]\((?!https?:)([^)#\s]+)\)", path.read_text()) if path.name != "theory.md" else []
        assert [link for link in links if not (path.parent / link).exists()] == []
