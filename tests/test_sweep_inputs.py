"""What a sweep's file must not hold: one message with a next step and exit code 2, before anything is printed."""

from __future__ import annotations

import json

import pytest

from sde_si import BadInput
from sde_si.sweep import Sweep
from sde_si.sweep.axes import solve_tuning_factor
from sde_si.sweep.cli import main

GRID = "[base]\nN = 640\nB = 64\ndim = 6\npaths = 3\nepochs = 2\n[grid]\nlr = [0.1, 0.2]\n"

# content of the file, and words of the message
BAD = {
    'out = 3\n' + GRID: ("--out", "text", '"runs/study"'),
    'out = ["a"]\n' + GRID: ("--out", "text"),
    'out = "a\\u0000b"\n' + GRID: ("--out", "name of a folder"),
    'out = "taken"\n' + GRID: ("--out", "taken"),
    'out = "taken/below"\n' + GRID: ("--out", "taken"),
    'runs = 3\n': ("runs: ", "list of tables", "[[runs]]"),
    'runs = [1, 2]\n': ("runs: ", "list of tables", "[[runs]]"),
    '[runs]\nlr = 0.1\n': ("runs: ", "list of tables", "[[runs]]"),
    'command = 3\n': ("command: ", "text"),
    'kind = ["sphere"]\n' + GRID: ("kind: ", "text"),
    'solve_for = ["lr"]\n' + GRID: ("solve_for: ", "text"),
    'function = 3\n': ("function: ", "text"),
    'base = 3\n': ("base: ", "a table"),
    'executor = 3\n' + GRID: ("--executor", "text"),
    'executor = "dask://host"\n' + GRID: ("--executor", "HOST:PORT", "dask://host:8786"),
    'executor = "dask://host:port"\n' + GRID: ("--executor", "HOST:PORT"),
    'executor = "dask://host:99999"\n' + GRID: ("--executor", "HOST:PORT"),
    'solve_for = "lr"\n[base]\nwd = 0\n[grid]\ntuning_factor = [0.1]\n': ("wd: ", 'solve_for = "wd"'),
    'solve_for = "B"\n[base]\nmomentum = 1\n[grid]\ntuning_factor = [0.1]\n': ("momentum: ",),
    'solve_for = "lr"\n[base]\nwd = "x"\n[grid]\ntuning_factor = [0.1]\n': ("wd: ",),
    'solve_for = "wd"\n[base]\nlr = 0.1\nwd = 1e-3\n[grid]\ntuning_factor = [0.1]\n': ("leaving wd out",),
    'solve_for = "lr"\n[grid]\nlr = [0.1]\ntuning_factor = [0.1]\n': ("leaving lr out", 'solve_for = "wd"'),
    'kind = "train"\n[base]\nN = -1\n': ("N: ", "whole number"),
    'kind = "train"\n[base]\nlr = "x"\n': ("lr: ", "a number"),
    '[base]\nN = 640\nB = 64\n[grid]\nlr = [0.1, "x"]\n': ("lr: ",),
    '[grid]\nlr = {log = ["a", 1, 3]}\n': ("lr: ", "finite number"),
    '[grid]\nlr = {range = [0, 4, 0]}\n': ("lr: ", "range"),
    '[grid]\nlrr = [0.1]\n': ("lrr: ", "try lr"),
    'kind = "sphere"\n[grid]\neffectve_lr = [0.1]\n': ("try effective_lr",),
    'kind = "train"\n[grid]\noptimiser = ["sgd"]\n': ("try optimizer",),
    'grod = 3\n': ("grod: ", "try grid"),
    'lr = 3\n': ("lr: ", "[base]"),
    'kind = "shpere"\n[grid]\neffective_lr = [0.1]\n': ("kind: ", "try sphere"),
    '[zip]\nlr = [0.1]\nwd = [1e-3, 2e-3]\n': ("zip: ", "lists of one length"),
    '[grid]\nlr = [0.1]\n[zip]\nlr = [0.1]\n': ("grid: ", "taking it out of"),
    '[grid]\nlr = [0.1]\n[base]\nlr = 0.1\n': ("base: ", "[base] without lr"),
    '[[runs]]\nlr = 0.1\n[[runs]]\nwd = 1e-3\n': ("runs: ", "lr, wd in all of them"),
    'seeds = [1, 1]\n': ("seeds: ", "each value once"),
    'seeds = "two"\n': ("seeds: ", "[0, 1, 2]"),
    'function = "f.py:napp"\n': ("function: ", "f.py:nap"),
    'function = "f.py"\n': ("function: ", "study.py:measure"),
    'function = "f.py:nap"\ncommand = "ls"\n': ("command: ", "leaving one"),
    'kind = "call"\n[grid]\na = [1]\n': ("kind: ", 'function = "..."'),
    'command = "ls \'a"\n': ("command: ", "quotes"),
    'command = "ls {aa}"\n[grid]\nab = [1]\n': ("command: ", "{ab}"),
    'command = "ls {a.b}"\n[grid]\na = [1]\n': ("command: ", "{a}"),
    'command = ""\n': ("command: ", "train"),
    'solve_for = "wd"\n' + GRID: ("solve_for: ", "tuning_factor = ["),
    '': ("FILE.toml: ", "[grid]"),
    'out = "runs"\n': ("FILE.toml: ", "[grid]"),
}  # fmt: skip


@pytest.mark.parametrize("content", BAD, ids=lambda content: content.replace("\n", " ")[:60])
def test_a_wrong_file_is_one_message_with_a_next_step(content, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "f.py").write_text("def nap():\n    return 1.0\n")
    (tmp_path / "s.toml").write_text(content)
    assert main(["s.toml", "--dry-run"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "; try " in err
    for words in BAD[content]:
        assert words in err
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != "") == ["f.py", "s.toml"]


def test_an_empty_name_of_a_folder_is_refused(tmp_path, capsys):
    (tmp_path / "s.toml").write_text(GRID)
    assert main([str(tmp_path / "s.toml"), "--dry-run", "--out", ""]) == 2
    assert "--out" in capsys.readouterr().err
    with pytest.raises(BadInput, match="name of a folder"):
        Sweep(out=3)  # pyright: ignore[reportArgumentType]


BASE = {"N": 5000, "B": 64, "lr": 0.1, "wd": 1e-3, "momentum": 0.9}


def solved(target, factor):
    rest = {name: value for name, value in BASE.items() if name != target}
    return solve_tuning_factor(rest | {"tuning_factor": factor}, target, decoupled=False)


@pytest.mark.parametrize("target", ["N", "B"])
def test_of_a_broken_size_the_two_whole_neighbours_are_offered(target):
    with pytest.raises(BadInput, match=f"values with a whole {target}") as caught:
        solved(target, 0.0701)
    offers = caught.value.advice.split(" or ")
    assert len(offers) == 2
    for offer in offers:
        factor, _, size = offer.partition(f" ({target} = ")
        assert solved(target, float(factor))[target] == int(size.rstrip(")"))


def test_a_tuning_factor_that_no_momentum_has_is_named_as_it_was_given():
    with pytest.raises(BadInput) as caught:
        solved("momentum", 1e-4)
    assert caught.value.got == 1e-4
    assert "at least 0.0078125" in caught.value.expected
    assert solved("momentum", float(caught.value.advice.split()[0]))["momentum"] == pytest.approx(0.5)
    assert solved("momentum", 0.0078125)["momentum"] == pytest.approx(0)


def test_a_dry_run_says_what_starting_the_workers_takes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sde_si.sweep.plan.start_of_worker", lambda _: 1000.0)
    monkeypatch.setattr("sde_si.machine.usable_cores", lambda: 2)
    (tmp_path / "s.toml").write_text(f'out = "{tmp_path}/o"\nexecutor = "local:4"\n' + GRID)
    assert main([str(tmp_path / "s.toml"), "--dry-run", "--quiet", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert 2000 <= told["startup_seconds"] < 2100, "four workers share two cores"
    assert told["seconds"] == pytest.approx(sum(run["seconds"] for run in told["runs"]) / 2)
    assert main([str(tmp_path / "s.toml"), "--dry-run", "--quiet"]) == 0
    assert "on 4 workers, plus about 20" in capsys.readouterr().out


def test_the_start_of_a_worker_is_measured(tmp_path):
    from sde_si.sweep.plan import start_of_worker

    (tmp_path / "f.py").write_text("import time\ntime.sleep(0.7)\ndef nap():\n    return 1.0\n")
    [job] = Sweep(function=f"{tmp_path}/f.py:nap", out=tmp_path / "o").jobs()
    assert start_of_worker(job) > 0.7
    assert not (tmp_path / "o").exists()
