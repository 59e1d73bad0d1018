"""The command line: light answers, start-up, ways to call it."""

from __future__ import annotations

import gc
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import sde_si
from sde_si.__main__ import COMMANDS
from sde_si.__main__ import main as entry
from sde_si.errors import DISK
from sde_si.provenance import version
from sde_si.simulate.cli import main
from sde_si.terminal import EVERY, READER_GONE, guarded


def test_list_and_version(capsys):
    assert main(["--list"]) == 0
    text = capsys.readouterr().out
    for registry in (sde_si.LOSSES, sde_si.METHODS, sde_si.NOISES, sde_si.SCHEDULES):
        assert all(name in text for name in registry)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == version()
    assert entry([]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)
    assert entry(["nonsense"]) == 2


LIGHT = """
import sys
sys.argv = {argv!r}
try:
    from sde_si.simulate.cli import main
    code = main()
except SystemExit as stop:
    code = stop.code
heavy = {{"xarray", "pandas", "scipy", "matplotlib", "torch", "numba"}}
loaded = {{name.partition(".")[0] for name in sys.modules}} & heavy
print("CODE", code, sorted(loaded), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "argv",
    [
        ["sde-si", "--help"],
        ["sde-si", "--list"],
        ["sde-si", "--version"],
        ["sde-si", "--lr", "nan"],
        ["sde-si", "--foo"],
        ["sde-si", "--method", "svag"],
        ["sde-si", "--init-norm", "x"],
        ["sde-si", "--lags", "0"],
        ["sde-si", "--loss", "nothing"],
    ],
)
def test_light_answers_load_nothing_heavy(argv):
    done = subprocess.run([sys.executable, "-c", LIGHT.format(argv=argv)], capture_output=True, text=True, check=False)
    code = "0" if argv[1] in ("--help", "--list", "--version") else "2"
    assert f"CODE {code} []" in done.stderr


def test_importing_the_package_loads_nothing_heavy():
    code = "import sde_si, sys; print([m for m in ('torch', 'matplotlib', 'numba', 'xarray') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_module_is_callable_and_so_is_the_function():
    import sde_si.simulate as module

    assert callable(module)
    assert callable(sde_si.simulate)
    hp = sde_si.HyperParameters(N=8, B=4, epochs=1)
    assert module(sde_si.Problem("isotropic", dim=4), hp, paths=2).sizes["path"] == 2


def test_a_command_looks_for_garbage_less_often_and_only_while_it_runs():
    before = gc.get_threshold()
    assert guarded(lambda: gc.get_threshold()[0]) >= EVERY
    assert gc.get_threshold() == before


ENTRIES = (["sde_si", "--help"], ["sde_si", "simulate", "--help"], ["sde_si", "verify", "--list"])


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes that break")
@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("words", ENTRIES)
def test_a_reader_that_has_seen_enough_is_no_error(words, buffered):
    read, write = os.pipe()
    os.close(read)
    code, said = _writing_to(write, words, buffered)
    assert (code, said) == (READER_GONE, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("words", ENTRIES)
def test_output_that_cannot_be_written_is_said(words, buffered):
    code, said = _writing_to(os.open("/dev/full", os.O_WRONLY), words, buffered)
    assert code == DISK
    assert said == "error: cannot write to stdout: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no shell that closes a stream")
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
@pytest.mark.parametrize("words", [*ENTRIES, ["sde_si", "simulate", "--theory", "--N", "50000", "--B", "128"]])
def test_closed_streams_are_no_error(words, closed):
    line = f"exec {shlex.join([sys.executable, '-m', *words])} {closed}"
    done = subprocess.run(["sh", "-c", line], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def _writing_to(output, words, buffered):
    """Exit code and messages of a command whose standard output is that descriptor."""
    variables = {**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"}
    with os.fdopen(output, "wb") as file:
        done = subprocess.run([sys.executable, "-m", *words], stdout=file, stderr=subprocess.PIPE, text=True,
                              env=variables, check=False)  # fmt: skip
    return done.returncode, done.stderr
