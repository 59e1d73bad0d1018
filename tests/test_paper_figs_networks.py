"""What the papers' figures say of records of networks: verdicts on tricks, courses, cells left out."""

from __future__ import annotations

import math

import made_records
import numpy as np
import pytest
from made_records import made

from paper_figs import accuracy, cli, drawing, grid, networks, phases
from paper_figs.findings import scaling_rules
from paper_figs.scripts import scripts
from sde_si import theory
from validation import experiments
from validation.experiments import verdict

records = made_records.records


def test_the_table_of_tricks_has_every_row_its_rule_and_its_verdicts(tmp_path, monkeypatch, records):
    monkeypatch.setattr(drawing, "records_of", lambda *_: drawing.Found({"tricks": records["tricks"]}, [], []))
    assert cli.main(["tricks-table", "--out", str(tmp_path), "--quiet"]) == 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".md", ".tex"}
    markdown, tex = ((tmp_path / f"tricks-table.{end}").read_text() for end in ("md", "tex"))
    names = records["tricks"]["trick"].values.tolist()
    assert verdict.RULE in markdown
    assert verdict.RULE.translate(grid.LATEX) in tex
    heads = [line.split("|")[1].strip() for line in markdown.splitlines() if line.startswith("| ")]
    assert heads == 2 * ["trick", *names]  # a table for each angle
    assert tex.count(r"\\") == 2 * (len(names) + 1)
    assert rf"\begin{{tabular}}{{{'l' * tex.splitlines()[5].count('&')}l}}" in tex  # words stand left


@pytest.mark.parametrize(
    ("ratio", "stderr", "said"),
    [
        (1.0, 0.001, verdict.KEEPS),
        (0.96, 0.003, verdict.KEEPS),
        (0.96, 0.004, verdict.UNDECIDED),  # noise does not help
        (1.0, 0.03, verdict.UNDECIDED),
        (0.9, 0.03, verdict.UNDECIDED),
        (0.9, 0.01, verdict.BREAKS),
        (1.063, 0.0056, verdict.UNDECIDED),
        (1.0, math.nan, verdict.UNDECIDED),
        (math.nan, math.nan, verdict.NOTHING),
    ],
)
def test_a_noisy_angle_is_undecided(ratio, stderr, said):
    assert verdict.judge(ratio, stderr) == said


def test_the_norm_gates_every_row_and_the_transient_is_judged_all_the_same(records):
    record = records["tricks"].copy(deep=True)
    for key in ("step", "epoch"):
        record[f"angle_{key}"][:] = record[f"angle_{key}_predicted"][:] = 0.11
    record["weight_norm"][:], record["invariant_share"][:] = 2.0, 1.0
    found = {(row.step.equilibrium.verdict, row.step.course.verdict) for row in verdict.rows(record)}
    assert found == {(verdict.KEEPS, verdict.KEEPS)}
    # Opposite drifts of two seeds: their mean norm stands still.
    record["weight_norm"][:, 0, -1], record["weight_norm"][:, 1, -1] = 2.2, 1.8
    for row in verdict.rows(record):
        assert (row.step.equilibrium.verdict, row.step.course.verdict) == (verdict.UNSETTLED, verdict.KEEPS)
        assert "norm not settled" in row.step.why
        assert row.epoch.equilibrium.verdict == verdict.UNSETTLED


def test_the_committed_tricks_are_judged_by_their_numbers():
    """Weight norm drifts most and its angle is nearest: no equilibrium. No row keeps the angle per epoch."""
    found = {row.trick: row for row in verdict.rows(experiments.load("tricks", "cpu"))}
    assert found["weight norm"].step.equilibrium.verdict == verdict.UNSETTLED
    assert found["label smoothing"].step.equilibrium.verdict == verdict.KEEPS
    assert found["batch growth"].step.course.verdict == verdict.BREAKS
    assert {row.epoch.equilibrium.verdict for row in found.values()} == {verdict.BREAKS, verdict.UNSETTLED}
    assert found["none"].split.free == pytest.approx(1, abs=0.02)


def test_cells_of_different_length_end_in_nothing():
    record = made("yun-table5", epochs=20)
    for name in ("steps_per_epoch", "lr_end", "batch"):
        record[name][0, 12:] = np.nan
    for name in ("gradient", "angle_epoch"):
        record[name][0, :, 12:] = np.nan
    assert phases.epochs(record, 0) == 12
    values = networks.sde(record, 0, "angle_epoch")
    assert np.isfinite(values[:12]).all()
    assert np.isnan(values[12:]).all()
    assert phases.late(record, 0) == slice(9, 12)  # of a transient that does not end: its last quarter


def test_late_epochs_are_those_after_the_transient():
    record = made("yun-table5", epochs=40)
    i = int(np.argmin(np.abs(record["tuning_factor"].values - 0.0512)))
    first, end = phases.late(record, i).start, phases.phase_end(record, i)
    assert 3 * end // 4 < first == 35 < end
    record["angle_epoch"][i, :, :first] = 3.0
    said = networks.exact(record, i).angle_epoch[first:end]
    turned = networks.mean_and_error(networks.of_cell(record, i, "angle_epoch"))[0][first:end]
    assert networks.ratio(record, i) == pytest.approx((1 - np.cos(turned)).mean() / (1 - np.cos(said)).mean())


def test_a_rate_that_falls_in_every_epoch_is_one_phase_whose_transient_takes_longer():
    record = made("yun-table5", epochs=80)
    i = int(np.argmin(np.abs(record["tuning_factor"].values - 0.0512)))
    assert phases.transient(record, i) == 35
    for low, high in ((10, 20), (0, 80)):
        time = np.clip((np.arange(80) - low) / (high - low), 0, 1)
        record["lr_end"][i] = 0.1 * (1 + np.cos(np.pi * time)) / 2
        assert phases.phase_end(record, i) == (80 if high == 80 else low + 1)
    first = phases.transient(record, i)
    share = np.cumsum((1 + np.cos(np.pi * np.arange(80) / 80)) / 2)
    assert 4 * 0.0512 * share[first - 2] < phases.DECAYED <= 4 * 0.0512 * share[first - 1]
    assert phases.late(record, i) == slice(first, 80)
    record["lr_end"][i] *= np.exp(-np.arange(80.0))  # it stops before the start is forgotten
    assert not phases.settles(record, i)


def test_the_papers_formula_is_not_asked_where_the_transient_does_not_end(monkeypatch):
    record = experiments.load("scaling-rules", "cpu")
    monkeypatch.setattr(networks, "sde", lambda record, *_: np.ones(record.sizes["epoch"]))
    found = scaling_rules.find(record)
    away = ~np.isfinite(found.angle["paper"][:, -1, 0])
    assert np.array(list(scaling_rules.RULES))[away].tolist() == ["root lr", "nothing"]
    assert found.transient[away, -1].tolist() == [97, 274]
    assert "lr × √k, nothing: none, after 40 epochs of a transient of 97, 274" in scaling_rules.seen(found)


def test_the_sde_turns_by_its_own_law():
    record = made("yun-table5", epochs=60)
    record["gradient"][:] = 3.0
    i = int(np.argmax(record["N"].values / record["B"].values))
    hp = networks.hyperparameters(record, i)
    law = theory.angle_of(1 - float(theory.sde_lag_cosine(hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum)))
    simulated = networks.sde(record, i, "angle_epoch", paths=64)[20:40].mean()  # before the first drop
    assert simulated == pytest.approx(law, rel=0.02)
    assert simulated != pytest.approx(math.acos(1 - hp.tuning_factor), rel=0.04)


def test_the_exact_course_is_the_records_own(records):
    record = records["yun-table5"]
    said = networks.exact(record, 3)
    assert said.angle_step == pytest.approx(record["angle_step_predicted"].isel(cell=3).mean("seed").values)
    assert np.isnan(networks.exact(record.drop_vars("weight_norm_predicted"), 3).weight_norm).all()


def test_missing_cells_and_diverged_runs_are_left_out(records):
    record = made("yun-table1")
    record["diverged_step"][0, 0] = 5
    part = accuracy.ours(record)["lr"]
    assert np.isnan(part.accuracy).sum() == 1
    assert np.isnan(part.mean).sum() == 1
    assert part.lost[np.isnan(part.mean)].tolist() == ["1 of 2 diverged"]
    assert "1 of 2 diverged" in scripts()["yun-table1"].draw({"yun-table1": record}).tables[0].markdown()
