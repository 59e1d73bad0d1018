"""The search on a subset: its best tuning factor, the interval, going on from its files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from in_process import InProcess

from sde_si import BadInput, HyperParameters
from sde_si.tune import search
from sde_si.tune.cli import main
from sde_si.tune.found import Trial, interval_of, spread_of, vertex
from sde_si.tune.samplers import Grid

TRAINER = """
import math, os, random

def train(N, B, lr, wd, momentum, seed):
    with open("calls", "a") as file:
        file.write(".")
    if wd > 0.5:
        raise ArithmeticError("diverged")
    factor = N * lr * wd / (B * (1 - momentum))
    noise = random.Random(f"{seed} {factor:.5g}").gauss(0, 0.003)
    return {"accuracy": 0.9 - 0.02 * math.log(factor / 0.1) ** 2 + noise}
"""
SUBSET = HyperParameters(N=512, B=64, lr=0.1, momentum=0.9)
FACTORS = [0.01, 0.03, 0.09, 0.27, 0.81]


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    (tmp_path / "trainer.py").write_text(TRAINER)
    monkeypatch.chdir(tmp_path)
    return "trainer.py:train"


def hunt(trainer, **more):
    return search(trainer, **{
        "subset": SUBSET, "full_N": 8192, "tuning_factors": FACTORS, "metric": "accuracy", "quiet": True,
        "executor": InProcess(), **more,
    })  # fmt: skip


def test_search_finds_the_tuning_factor_and_transfers_it(trainer, tmp_path):
    found = hunt(trainer, rounds=2)
    assert found.low < 0.1 < found.high
    assert found.high / found.low < 2
    assert found.best.tuning_factor == pytest.approx(0.1, rel=0.3)
    assert any(one.stopped for one in found.trials)  # bad points do not get every seed
    assert all(len(one.values) == 3 for one in found.trials if not one.stopped)
    wd = found.settings["wd"].hyperparameters
    assert 8192 * wd.lr * wd.wd / (64 * 0.1) == pytest.approx(found.best.tuning_factor, rel=1e-12)
    calls = len((tmp_path / "calls").read_text())
    assert found.samples == calls * 512
    assert found.samples_full == 5 * 3 * 8192
    assert found.spread == pytest.approx(0.003, rel=0.8)


def test_a_killed_search_goes_on_from_its_files(trainer, tmp_path):
    whole = hunt(trainer).to_json()
    records = sorted((tmp_path / "runs").glob("*.nc"))
    calls = len((tmp_path / "calls").read_text())
    assert calls == len(records)
    for record in records[::2]:
        record.unlink()
    assert hunt(trainer).to_json() == whole
    assert len((tmp_path / "calls").read_text()) == calls + len(records[::2])


def test_batch_sizes_and_failures(trainer):
    found = hunt(trainer, batches=[64, 128], tuning_factors=[0.05, 0.1, 0.2, 8.0], seeds=1, rounds=0)
    assert {one.hyperparameters.B for one in found.trials} == {64, 128}
    assert any("diverged" in note for note in found.notes)
    assert any("one seed" in note for note in found.notes)
    edge = hunt(trainer, tuning_factors=[0.2, 0.4, 0.8], seeds=2, rounds=0, out="edge")
    assert any("smallest" in note for note in edge.notes)
    with pytest.raises(BadInput, match="train"):
        hunt(trainer, tuning_factors=[10.0, 20.0, 30.0], out="none")


def test_less_can_be_better_and_lr_can_be_solved_for(trainer):
    worst = hunt(trainer, maximize=False, solve_for="lr", seeds=1, rounds=0, subset=SUBSET.replace(wd=1e-2))
    assert worst.best.tuning_factor in (0.01, 0.81)
    assert {one.hyperparameters.wd for one in worst.trials} == {1e-2}


def test_wrong_searches(trainer):
    for wrong in ({"tuning_factors": [0.1]}, {"tuning_factors": [0.1, 0.1, 0.2]}, {"tuning_factors": [0.1, -1, 2]},
                  {"full_N": 100}, {"seeds": 0}, {"rounds": -1}, {"sampler": "x"}, {"solve_for": "B"},
                  {"command": "train"}, {"metric": "nothing"}, {"optimizer": "x"}, {"batches": [1000]}):  # fmt: skip
        with pytest.raises(BadInput):
            hunt(trainer, **wrong)


def line_of(values, factors=(0.1, 0.2, 0.4, 0.8)):
    points = zip(factors, values, strict=True)
    return [Trial(tuning_factor=f, hyperparameters=SUBSET, values=tuple(v), stopped=False) for f, v in points]


@pytest.mark.parametrize(
    ("values", "best", "low", "high", "said"),
    [
        ([[0.5]] * 4, 0, None, None, "no difference"),
        ([[0.5, 0.5]] * 4, 2, None, None, "no difference"),
        ([[math.nan], [0.5], [math.nan], [math.nan]], 1, 0.1, 0.4, "only one point"),
        ([[1.0, 1.1], [2.0, 2.1], [3.0, 3.1], [math.nan]], 2, 0.08**0.5, 0.8, "ends above at 0.8, where runs failed"),
        ([[1.0], [2.0], [math.nan], [math.nan]], 1, 0.02**0.5, 0.4, "none beyond"),
        ([[math.nan], [3.0, 3.1], [2.0, 2.1], [1.0, 1.1]], 1, 0.1, 0.08**0.5, "ends below at 0.1"),
        ([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [math.nan]], 0, None, 0.8, "wider range"),
        ([[1.0, 1.01], [3.0, 3.01], [2.98, 2.99], [1.0, 1.01]], 1, 0.02**0.5, "some", ""),
        ([[1.0], [2.0], [3.0], [4.0]], 3, 0.32**0.5, None, "largest"),
        ([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]], 3, 0.32**0.5, None, "do not differ"),
        ([[4.0, 4.01], [3.0, 3.01], [2.0, 2.01], [1.0, 1.01]], 0, None, 0.02**0.5, "smallest"),
        ([[1.0, 1.0], [2.0, 2.0], [1.0, 1.0], [0.0, 0.0]], 1, 0.02**0.5, 0.08**0.5, "do not differ"),
        ([[1.0, 1.1], [3.0, 3.1], [3.05, 3.0], [1.0, 1.1]], 1, "some", "some", ""),
        ([[1.0, 1.8], [1.1, 1.7], [1.0, 1.9], [1.3, 1.5]], 2, None, None, "widen it on both sides"),
    ],
)
def test_an_interval_that_nothing_bounds_is_open(values, best, low, high, said):
    line = line_of(values)
    spread = spread_of(line)
    found = interval_of(line, line[best], spread, 1.0)
    for end, expected in zip(found, (low, high), strict=False):
        if expected == "some":
            assert end is not None
            assert 0.1 < end < 0.8
        else:
            assert end == (None if expected is None else pytest.approx(expected))
    assert said in " ".join(found[2])
    if None not in found[:2]:
        assert found[0] < line[best].tuning_factor < found[1]
    if any(one.failed for one in line):
        assert "that was tried" not in " ".join(found[2])


def test_failures_bound_the_interval_and_are_called_failed(trainer):
    found = hunt(trainer, tuning_factors=[0.02, 0.05, 0.1, 8.0], rounds=0)
    assert (found.high, found.to_json()["trials"][-1]["failed"]) == (8.0, True)
    assert not any(("widen" in note and "above" in note) or "largest" in note for note in found.notes)
    assert "open above" not in found.interval()
    assert list(found.to_table().columns[-1].cells)[-1] == "failed"


def test_intervals_quoted_of_the_demonstration():
    """docs/tune.md quotes them by the present rule, not by that of the day of the record."""
    root = Path(__file__).parent.parent
    content = json.loads((root / "validation/records/tune_transfer.json").read_text())
    for name, expected in {"search": (0.019, 0.23), "grid": (0.086, 0.23)}.items():
        made = content[name]
        line = [
            Trial(tuning_factor=one["tuning_factor"], hyperparameters=HyperParameters(**one["hyperparameters"]),
                  values=tuple(one["values"]), stopped=one["stopped"])
            for one in made["trials"]
        ]  # fmt: skip
        best = next(one for one in line if one.tuning_factor == made["tuning_factor"])
        low, high, _ = interval_of(line, best, made["spread"], 1.0)
        assert (float(f"{low:.2g}"), float(f"{high:.2g}")) == expected
        assert f"{expected[0]} to {expected[1]} by the {name}" in (root / "docs/tune.md").read_text()


def test_an_open_interval_is_null_and_called_open(tmp_path, monkeypatch):
    (tmp_path / "flat.py").write_text("def train(N, B, lr, wd, momentum, seed):\n    return {'accuracy': 0.5}\n")
    monkeypatch.chdir(tmp_path)
    found = hunt("flat.py:train", seeds=2, rounds=0)
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["low"] is content["high"] is None
    text = " ".join(found.lines())
    assert "open on both sides of the range tried, 0.01 .. 0.81" in text
    assert "no difference between points" in text


def test_the_grid_refines_beside_its_best():
    grid = Grid([0.1, 1.0, 10.0], [8], 1)
    for point in grid.ask():
        grid.tell(point, -abs(math.log10(point[0])))
    assert sorted(grid.ask()) == [(pytest.approx(10**-0.5), 8), (pytest.approx(10**0.5), 8)]
    assert grid.ask() == []


def test_vertex_of_a_parabola():
    x = np.array([0.0, 1.0, 3.0])
    assert vertex(x, -((x - 1.3) ** 2)) == pytest.approx(1.3)
    assert vertex(x, x) == 3.0


def test_optuna_asks_and_is_told(trainer):
    pytest.importorskip("optuna")
    first = hunt(trainer, sampler="optuna", rounds=1)
    assert len(first.trials) == 7
    assert hunt(trainer, sampler="optuna", rounds=1).to_json() == first.to_json()


def test_names_in_capitals_and_files_that_end_the_program(trainer, tmp_path, capsys):
    words = ["search", "--N", "512", "--full-N", "4096", "--quiet", "--tuning-factors", "0.1:1:3"]
    assert main([*words, "--function", trainer, "--optimizer", "ADAMW"]) == 2
    assert "try adamw" in capsys.readouterr().err
    (tmp_path / "ends.py").write_text("import argparse\nargparse.ArgumentParser().parse_args(['--unknown'])\n")
    assert main([*words, "--function", "ends.py:nofn"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: --function: expected a Python file that can be imported")
    assert "SystemExit" in error


def test_one_seed_has_no_level(trainer):
    found = hunt(trainer, seeds=1, rounds=0)
    assert "95 %" not in " ".join(found.lines())
    assert "by the points tried" in found.interval()
    assert found.to_json()["level"] is None
    several = hunt(trainer, seeds=3, rounds=0)
    assert several.interval().startswith("95 % ")
    assert several.to_json()["level"] == 0.95


def test_cost_with_and_without_the_full_runs(trainer):
    """As the demonstration counts: what is done on the subset, and the best point's seeds on the whole set."""
    found = hunt(trainer, seeds=3, rounds=0)
    cost, full = found.to_json()["cost"], found.settings.target["N"]
    assert cost["samples_run"] == 3 * full
    assert cost["share_with_run"] == pytest.approx((cost["samples"] + 3 * full) / (5 * 3 * full))
    assert cost["share"] == pytest.approx(cost["samples"] / (5 * 3 * full))
    [search_, both] = [line for line in found.lines() if line.startswith("cost")]
    assert f"{100 * cost['share']:.3g} % of" in search_
    assert f"{100 * cost['share_with_run']:.3g} %" in both
