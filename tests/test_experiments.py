"""The experiments: every entry is valid at every scale, fits its budget, and its summary belongs to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from sde_si.errors import BadInput, DiskProblem
from sde_si.record import SCHEMA
from sde_si.theory import lag_cosines, sgd_moments
from validation.experiments import EXPERIMENTS, SCALES, current, load
from validation.experiments.base import Cell, cell, unique
from validation.experiments.calibrated import course
from validation.experiments.catalogue.kodryan_regimes import random_loss
from validation.experiments.catalogue.li_trajectory_invariance import spread
from validation.experiments.made import of_one, provenance_of, time_of
from validation.experiments.page import PAGE, page
from validation.experiments.run import Plan, estimate
from validation.experiments.setups import hyperparameters, seconds
from validation.experiments.summary import RECORDS
from validation.experiments.work import job_of
from validation.experiments.yun import GRIDS
from validation.train.optimizers import OPTIMIZERS

ROOT = Path(__file__).parent.parent
HOURS = {"tiny": 1 / 60, "cpu": 2 * 75 / 60, "gpu": 20 / 60}  # of one core, two cores, one accelerator


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_valid_at_every_scale(name, scale):
    experiment = EXPERIMENTS[name]
    cells = experiment.cells(scale)
    assert len(cells) >= 2
    assert experiment.title
    assert experiment.source
    assert experiment.question.endswith(("?", "."))
    assert experiment.figures
    assert experiment.seeds[scale] >= (1 if scale == "tiny" else 3)
    assert set(experiment.record) <= SCHEMA.keys()
    json.dumps(dict(experiment.paper), allow_nan=False)
    # At the larger scales a dozen stand for all: they differ in numbers only.
    for one in cells if scale == "tiny" else cells[:: max(1, len(cells) // 12)]:
        job = job_of({**one.settings, "seed": 0}, device="cpu", data_dir=None)
        assert job.hyperparameters == hyperparameters(one.settings)
        assert json.loads(json.dumps(one.settings)) == one.settings
        assert all(isinstance(value, str | float) for value in one.labels.values())
    names = [tuple(sorted((k, str(v)) for k, v in {**one.labels, **one.settings}.items())) for one in cells]
    assert len(set(names)) == len(cells), "two cells that nothing tells apart"
    if scale in HOURS:
        hours = experiment.seeds[scale] * sum(seconds(one.settings) for one in unique(cells)) / 3600
        assert hours <= HOURS[scale]


def test_all_experiments_fit_into_their_budgets_and_share_cells(tmp_path):
    plans = [Plan(e, "cpu", e.seeds["cpu"], tmp_path) for e in EXPERIMENTS.values()]
    together = sum(estimate(plans).values())
    alone = sum(seconds(one.settings) for plan in plans for one, _ in plan.runs)
    assert together <= 8 * 2 * 3600
    assert together < 0.9 * alone
    searches, table = (
        {one.digest(0) for one in EXPERIMENTS[name].cells("cpu")} for name in ("yun-fig1-2", "yun-table1")
    )
    assert len(searches & table) >= 10


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", [f"yun-table{n}" for n in range(1, 8)])
def test_every_column_of_a_table_has_its_coloured_cell(name, scale):
    """Parts (a), (b), (c) of every column cross the diagonal of constant tuning factor (theory.md 10.13)."""
    cells, grid = EXPERIMENTS[name].cells(scale), GRIDS[scale]
    for part in {one.labels["what_changed"] for one in cells}:
        mine = [one for one in cells if one.labels["what_changed"] == part]
        columns = {(one.settings["N"], one.settings["B"]) for one in mine} if part != "B" else {
            (one.settings["N"], 0) for one in mine}  # fmt: skip
        for N, B in columns:
            column = [o for o in mine if o.settings["N"] == N and (part == "B" or o.settings["B"] == B)]
            coloured = [o for o in column if o.labels["constant_factor"]]
            assert len(coloured) == 1
            factor = hyperparameters(coloured[0].settings).tuning_factor
            assert factor == pytest.approx(grid.factor, rel=0.01)


def test_the_papers_tables_are_whole():
    for n in (1, 2, 3, 4, 7):
        table = EXPERIMENTS[f"yun-table{n}"].paper
        assert table["source"].endswith(f"table {n}")
        for rows in table["parts"].values():
            assert [len(row) for row in rows] == [5] * 7
        assert len({tuple(rows[0]) for rows in table["parts"].values()}) == 1  # the base row is one
        # Table 1's largest entry is 95.26 at N = 50000, both tuned, second row above the base.
    assert EXPERIMENTS["yun-table1"].paper["parts"]["both"][2][4] == 95.26
    assert EXPERIMENTS["yun-table5"].paper["parts"]["B"][1] == [79.25, 84.3, 87.83, 89.52, 91.01]


def test_digests_depend_on_what_is_run_and_on_nothing_else():
    one, other = Cell({"N": 64, "lr": 0.1}), Cell({"lr": 0.1, "N": 64}, {"row": 1.0})
    assert one.digest(0) == other.digest(0)
    assert one.digest(0) != one.digest(1)
    assert one.digest(0) != cell(one.settings, {"lr": 0.2}).digest(0)
    assert cell({"svag": 2, "N": 1}, {"svag": None}).settings == {"N": 1}
    code = "from validation.experiments import current; print(current('yun-table1', 'cpu'))"
    made = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "7"}, text=True,
        stdout=subprocess.PIPE,
        check=True,
    )  # fmt: skip
    assert made.stdout.strip() == current("yun-table1", "cpu")
    assert len({current(name, scale) for name in EXPERIMENTS for scale in SCALES}) == len(EXPERIMENTS) * len(SCALES)


def test_numbers_of_this_format(one_thread):
    """If this fails, the trainer measures something else: raise FORMAT in base.py, then renew these numbers."""
    from validation.train.loop import Trainer

    settings = {
        "network": "si-mlp", "width": 6, "blocks": [2], "data": "digits", "N": 96, "B": 16, "lr": 0.1, "wd": 0.02,
        "momentum": 0.9, "epochs": 2, "noise_batches": 2, "evaluate_every": 2, "precision": "fp64", "seed": 3,
        "augment": ["shift", "flip"],
    }  # fmt: skip
    job = job_of(settings, device="cpu", data_dir=None)
    from validation.experiments.work import images_of

    trainer = Trainer(job, images_of(job), [3])
    trainer.run_epoch()
    trainer.run_epoch()
    got = trainer.results()
    found = [got[name][0, -1, -1] for name in ("weight_norm", "angle_epoch", "angle_step", "noise_trace")]
    np.testing.assert_allclose([*found, got["train_loss"][0, -1]], GOLDEN, rtol=1e-6)


GOLDEN = [11.019861296024443, 0.13350172460804183, 0.02783149199147427, 55.42326221281766, 3.0301367020291887]


def test_loading_says_what_is_missing(tmp_path):
    with pytest.raises(DiskProblem, match=r"python -m validation\.experiments tricks --scale gpu"):
        load("tricks", "gpu", folder=tmp_path)
    with pytest.raises(DiskProblem, match="no record of tricks at scale any"):
        load("tricks", folder=tmp_path)
    with pytest.raises(BadInput, match="names"):
        load("nonsense")
    with pytest.raises(BadInput, match="scale"):
        load("tricks", "huge")
    (tmp_path / "tricks-cpu.nc").write_text("nonsense")
    with pytest.raises(DiskProblem, match=r"tricks-cpu.nc is no record .*; restore it, or make it again"):
        load("tricks", folder=tmp_path)


def test_reading_loads_neither_torch_nor_matplotlib():
    code = """import sys, validation.experiments as e
names = [n for n in e.EXPERIMENTS if e.present(n)]
[e.load(n) for n in names]
[e.current(n, s) for n in e.EXPERIMENTS for s in e.SCALES]
print([m for m in ("torch", "matplotlib", "sklearn") if m in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", sorted(RECORDS.glob("*.nc")), ids=lambda p: p.stem)
def test_committed_summaries_belong_to_the_present_configuration(path):
    name, _, scale = path.stem.rpartition("-")
    data = load(name, scale)
    assert data.attrs["digest"] == current(name, scale)
    assert data.sizes["seed"] >= (1 if scale == "tiny" else 3)
    assert data.sizes["cell"] == len(EXPERIMENTS[name].cells(scale))
    assert path.stat().st_size < 1_500_000
    made = json.loads(data.attrs["provenance"])
    assert made["seconds"] > 0
    assert made["processor"]
    assert data.attrs["command"].startswith(f"python -m validation.experiments {name} --scale {scale}")


def test_every_summary_in_the_folder_has_an_experiment():
    assert {path.stem.rpartition("-")[0] for path in RECORDS.glob("*.nc")} <= EXPERIMENTS.keys()


def test_the_page_is_that_of_the_registry():
    assert PAGE.read_text() == page(), "run python -m validation.experiments.page"


@pytest.mark.parametrize(("name", "mu", "squares", "cosine"), [
    ("sgd-displacement", 0.9, (3.8875169276, 7.9716405010, 9.1842930446), 0.8943217060),
    ("sgd", 0.9, (3.8875169276, 3.8549348674, 3.4259759490), 0.9953262448),
    ("sgd", 0.0, (1.8270927224, 1.7930841534, 1.7597907887), 0.9993896327),
])  # fmt: skip
def test_the_course_through_a_drop_of_lr_is_that_of_the_theory(name, mu, squares, cosine):
    """Golden numbers of theory.md 14.14; the two forms of momentum differ after the drop."""
    rates = [np.full(10, 0.1), np.full(10, 0.01), np.full(10, 0.01)]
    found = course(
        OPTIMIZERS[name].linear, rates, 0.1, [np.full(10, mu)] * 3, np.full((3, 1), 4.0), np.array([2**0.5])
    )  # fmt: skip
    np.testing.assert_allclose(found["weight_norm"][:, 0] ** 2, squares, rtol=1e-7)
    assert np.cos(found["angle_epoch"][1, 0]) == pytest.approx(cosine, abs=1e-9)


def test_a_course_taken_up_after_the_first_epoch_forgets_how_it_began():
    """At equilibrium norm and angles are those of 9.2, whatever the first epoch did (theory.md 9.2)."""
    rates, momenta = [np.full(50, 0.1)] * 30, [np.full(50, 0.9)] * 30
    for first in (0.5, 3.0):
        found = course(
            OPTIMIZERS["sgd"].linear, rates, 0.01, momenta, np.full((30, 1), 4.0), np.ones(1), np.array([first])
        )  # fmt: skip
        assert found["weight_norm"][-1, 0] ** 2 == pytest.approx(sgd_moments(0.1, 0.01, 0.9, noise_trace=4.0).xx)
        assert found["angle_step"][-1, 0] == pytest.approx(np.arccos(1 - 1e-3 / 1.9), rel=1e-6)
        assert np.cos(found["angle_epoch"][-1, 0]) == pytest.approx(lag_cosines(50, 1e-3, 0.9)[50], rel=1e-6)


def test_spread_tells_groups_that_matter_from_groups_that_do_not():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), 5)
    levels = rng.standard_normal((4, 1))
    curves = levels[groups] + 1e-3 * rng.standard_normal((20, 30))
    assert spread(curves, groups) < 0.01
    shuffled = [spread(curves, rng.permutation(groups)) for _ in range(40)]
    assert np.mean(shuffled) == pytest.approx(1.0, abs=0.1)
    assert np.isnan(spread(curves[:2], np.arange(2)))


def test_the_level_of_random_weights_is_above_that_of_no_opinion():
    assert random_loss(EXPERIMENTS["kodryan-regimes"].cells("tiny")[0]) > np.log(10)


def test_times_that_some_runs_do_not_know_are_counted():
    def run(digest, **made):
        return xr.Dataset(
            attrs={"digest": digest, "provenance": json.dumps({"seconds": 7200.0, "written": "x"} | made)}
        )

    runs = [run("a", cpu_seconds=3600.0), run("b"), run("c", cpu_seconds=1800.0)]
    whole = provenance_of(runs)
    assert time_of(whole) == "1.5 h of processor for 2 of them"
    assert "cpu_seconds" not in of_one(whole), "nobody knows whose they are"
    assert of_one(whole)["seconds"] == 7200
    every = provenance_of([runs[0], runs[2]])
    assert time_of(every) == "1.5 h of processor"
    assert of_one(every)["cpu_seconds"] == 2700
    assert time_of(provenance_of([runs[1]])) == "2 h"
