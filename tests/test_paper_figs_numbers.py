"""Statements of the papers in numbers, on made tables with a known answer."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from paper_figs import accuracy, grid, phases, quantified, searches, spread, tables, turning
from paper_figs.findings import svag_resnet
from validation import experiments


def table(power: float, *, seeds: int = 3, noise: float = 0.05, rows: int = 9, seed: int = 0):
    """Accuracy peaked at wd = 1e-3 (N/1000)^power."""
    rng = np.random.default_rng(seed)
    wd, N = 1e-3 * 2.0 ** np.arange(-(rows // 2), rows // 2 + 1), 1000 * 2.0 ** np.arange(-2, 3)
    away = np.log(wd[:, None] / (1e-3 * (N / 1000) ** power))
    return wd, N, (90 - away**2)[..., None] + noise * rng.standard_normal((wd.size, N.size, seeds))


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5])
def test_slope_finds_the_power_and_rejects_others(power):
    wd, N, values = table(power, seeds=10, noise=0.3)
    found = quantified.slope(values, wd, N)
    assert found.value == pytest.approx(power, abs=0.1)
    assert found.holds(power)
    assert not any(found.holds(other) for other in (-1.0, 0.0, 0.5) if other != power)
    assert found.high - found.low < 0.3


def test_slope_without_errors_says_so():
    wd, N, values = table(-1.0, seeds=1)
    found = quantified.slope(values, wd, N)
    assert found.value == pytest.approx(-1, abs=0.1)
    assert math.isnan(found.low)
    assert not found.holds(-1.0)


def test_the_interval_widens_with_the_noise_and_covers():
    held, widths = 0, []
    for seed in range(20):
        wd, N, values = table(-1.0, noise=0.6, seeds=5, seed=seed)
        found = quantified.slope(values, wd, N, resamples=200)
        held += found.holds(-1.0)
        widths.append(found.high - found.low)
    assert held >= 15
    wd, N, values = table(-1.0, noise=0.05, seeds=5)
    quiet = quantified.slope(values, wd, N, resamples=200)
    assert np.median(widths) > 2 * (quiet.high - quiet.low)


def test_best_cells_off_the_diagonal_only_beyond_one_standard_error():
    wd, N, values = table(-1.0, noise=0.0)
    marked = np.abs(np.log(wd[:, None] * N / 1.0)) < 0.01
    assert [one.verdict for one in quantified.columns(values, marked)] == ["on"] * 5
    shifted = np.roll(marked, 1, axis=0)
    # the true best is off by a clear amount
    assert [one.verdict for one in quantified.columns(values, shifted)] == ["off"] * 5
    wd, N, values = table(-1.0, noise=3.0)
    values[:] = values.mean() + 3.0 * np.random.default_rng(1).standard_normal(values.shape)
    within = [one.verdict for one in quantified.columns(values, shifted)]
    assert set(within) <= {"on", "within", "off"}
    alone = quantified.columns(values[..., :1], shifted)
    assert all(one.verdict in ("on", "unknown") for one in alone)
    assert quantified.columns(values, np.zeros_like(marked))[0].verdict == "unknown"


def test_spread_tells_equal_from_other_cells():
    rng = np.random.default_rng(0)
    equal = np.array([True] * 4 + [False] * 4)
    level = np.where(equal, 0.3, 0.3 * 2.0 ** np.array([0, 0, 0, 0, -2, -1, 1, 2]))
    angle = level[:, None, None] * np.exp(0.02 * rng.standard_normal((8, 3, 40)))
    angle[:, :, :5] *= np.linspace(1, 9, 8)[:, None, None]  # a transient that must not count
    found = spread.spreads(angle, np.full(8, 5), equal)
    same, others = found["equal tuning factor"].interval, found["others"].interval
    assert same.value < 0.05
    assert others.value > 0.5
    assert same.high < others.low
    assert [(one.counted, one.cells) for one in found.values()] == [(4, 4), (4, 4)]
    early = spread.spreads(angle, np.zeros(8, int), equal)
    assert early["equal tuning factor"].interval.value > 1.5 * same.value


def test_spreads_are_over_the_same_epochs_and_say_how_many_cells():
    """The others vary only early, before two equal cells are past their transients: that must not count."""
    rng, equal = np.random.default_rng(0), np.array([True, True, False, False, False])
    angle = 0.3 * np.exp(0.01 * rng.standard_normal((5, 3, 40)))
    angle[3, :, :20] *= 5.0
    angle[4, 1, 30:] = np.nan  # a run that diverged
    found = spread.spreads(angle, np.array([20, 20, 2, 2, 2]), equal)
    assert found["others"].interval.value < 0.02
    assert [(one.counted, one.cells) for one in found.values()] == [(2, 2), (2, 3)]
    never = spread.spreads(angle, np.array([20, 50, 2, 2, 2]), equal)
    assert math.isnan(never["others"].interval.value)


def test_a_best_value_at_an_end_of_the_grid_is_counted_and_falling_grids_are_no_other():
    x = np.log(2.0) * np.arange(6)
    means = -((x[:, None] - np.array([-1.0, 1.2, 2.0, 9.0])) ** 2)
    assert quantified.at_end(means) == 2
    up, down = quantified.best_value(means, np.exp(x)), quantified.best_value(means[::-1], np.exp(x[::-1]))
    assert up == pytest.approx([x[0], 1.2, 2.0, x[-1]])
    assert down == pytest.approx(up)


def test_a_cell_of_which_a_run_diverged_is_no_candidate():
    values = np.array([[[1.0, 1.1, 1.2]], [[9.0, 9.0, np.nan]], [[2.0, 2.2, 2.1]]])
    marked = np.array([[True], [True], [False]])
    [one] = quantified.columns(values, marked)
    assert (one.best, one.diagonal, one.verdict) == (2, 0, "off")
    assert one.loss == pytest.approx(1.0)
    part = accuracy.Part(tuned="wd", across="N", lr=np.ones((3, 1)), wd=np.ones((3, 1)), B=np.ones((3, 1)),
                         N=np.ones((3, 1)), accuracy=values, marked=marked, offset=np.zeros((3, 1)))  # fmt: skip
    text = part.grid("t").markdown()
    assert "1 of 3 diverged †" in text
    assert "**2.10 ± 0.06**" in text


def test_off_by_chance_is_that_of_students_t():
    """Of two like cells with one marked: the other is ahead by more than a standard error as often as t exceeds 1."""
    from scipy.stats import t

    for seeds in (3, 8):
        assert quantified.off_by_chance(2, 1, seeds) == pytest.approx(t.sf(1, seeds - 1), abs=0.02)
    assert quantified.off_by_chance(6, 1, 3) > quantified.off_by_chance(2, 1, 3)
    assert quantified.off_by_chance(3, 3, 3) == quantified.off_by_chance(3, 1, 1) == 0


def test_leading_by_chance_is_the_share_of_draws():
    rng = np.random.default_rng(1)
    for rows, marked, places in ((6, 1, 1), (6, 1, 2), (5, 2, 2), (3, 3, 1)):
        ranks = rng.random((4000, rows)).argsort(axis=1)
        assert quantified.leading_by_chance(rows, marked, places) == pytest.approx(
            (ranks[:, :marked] < places).any(axis=1).mean(), abs=0.03
        )
    assert quantified.leading_by_chance(0, 0, 2) == 0
    chances = [0.2, 0.5, 0.9]
    events = rng.random((20_000, 3)) < chances
    for count in range(4):
        assert quantified.at_least(count, chances) == pytest.approx((events.sum(axis=1) >= count).mean(), abs=0.02)


def test_the_rank_of_the_diagonal_is_its_place_in_the_column():
    values = np.array([[3.0, 1.0], [2.0, 5.0], [1.0, 4.0]])[..., None] * np.ones(3)
    marked = np.array([[False, True], [True, False], [False, False]])
    assert [one.rank for one in quantified.columns(values, marked)] == [2, 3]
    assert [one.rank for one in quantified.columns(values, np.zeros((3, 2), bool))] == [0, 0]


def test_standing_out_is_paired_and_keeps_its_level():
    rng = np.random.default_rng(4)
    found = [searches.standing_out(20 * rng.standard_normal(3) + rng.standard_normal((6, 3))) for _ in range(2000)]
    level = found[0][1]
    assert np.mean([out for out, _ in found]) == pytest.approx(level, abs=3 * math.sqrt(level / 2000))
    rows = np.arange(6.0)[:, None] + 20 * rng.standard_normal(3) + 0.3 * rng.standard_normal((6, 3))
    assert searches.standing_out(rows)[0]


def test_transient_end_follows_the_slowest_law():
    assert phases.transient_end(np.array([0.05])).tolist() == [35]
    assert phases.transient_end(np.array([5.0]), 10).tolist() == [15]


def test_the_papers_tables_carry_the_diagonal_and_agree_with_themselves():
    parts = accuracy.theirs(experiments.EXPERIMENTS["yun-table1"].paper)
    part = parts["wd"]
    assert part.marked.sum(axis=0).tolist() == [1] * 5
    assert part.wd[:, 0][np.argmax(part.marked, axis=0)] == pytest.approx([0.0032, 0.0016, 0.0008, 0.0004, 0.0002])
    a, b = accuracy.common(part, part)
    assert grid.rank_correlation(a[:, 0], b[:, 0])[0] == pytest.approx(1)
    upside_down = grid.rank_correlation(a[:, 1], -b[:, 1])[0]
    assert upside_down == pytest.approx(-1)


def test_rank_correlation_of_unrelated_numbers_is_small():
    rng = np.random.default_rng(5)
    value, p, count = grid.rank_correlation(rng.random(400), rng.random(400))
    assert abs(value) < 0.15
    assert p > 1e-3
    assert count == 400
    assert math.isnan(grid.rank_correlation(np.ones(5), np.ones(5))[0])


def test_a_grid_marks_and_bolds():
    one = grid.Grid(title="t", corner="r", rows=("a_1", "b"), columns=("x", "y"),
                    value=np.array([[1.0, np.nan], [2.0, 3.0]]), stderr=np.array([[0.1, np.nan], [np.nan, 0.2]]),
                    marked=np.array([[True, False], [False, True]]))  # fmt: skip
    assert one.best.tolist() == [[False, False], [True, True]]
    assert "| a_1 | 1.00 ± 0.10 † |  |" in one.markdown()
    assert "**3.00 ± 0.20** †" in one.markdown()
    assert r"a\_1" in one.latex()
    assert r"\cellcolor{yellow!40}\textbf{3.00\,$\pm$\,0.20}" in one.latex()


def test_the_columns_where_the_papers_own_diagonal_is_behind():
    behind = {f"{number} {tuned}: {said}" for number in (1, 2, 3, 4, 5, 7)
              for tuned, part in accuracy.theirs(experiments.EXPERIMENTS[f"yun-table{number}"].paper).items()
              for said in part.behind(2)}  # fmt: skip
    assert behind == {
        "2 lr: N = 6250 (place 3)", "4 lr: B = 2048 (place 6)", "4 wd: B = 2048 (place 4)",
        "4 both: B = 2048 (place 4)", "7 lr: N = 3125 (place 4)",
    }  # fmt: skip


def test_epochs_outside_of_the_panel_of_losses_are_named():
    loss = np.zeros((2, 3, 10))
    loss[1, :, 5:] = -0.01
    found = dataclasses.replace(svag_resnet.find(experiments.load("svag-resnet", "cpu")), measured={"train_loss": loss})
    assert svag_resnet.shown_losses(found) == (pytest.approx((-0.03, 0.015)), "")
    loss[1, :, 0], loss[1, :, 2] = -0.05, 0.02
    assert svag_resnet.shown_losses(found)[1] == "not shown in full: epoch 1, 3"


def test_a_network_that_only_guesses_has_no_angle_and_is_named():
    """Without a gradient it does not turn: of a resample of such seeds alone the logarithm would be infinite."""
    record = experiments.load("yun-table5", "cpu")
    before = turning.widths(record)["others"]
    late = [i for i in np.flatnonzero(record["constant_factor"].values == 0)
            if phases.transient(record, i) < phases.phase_end(record, i)]  # fmt: skip
    record["test_accuracy"][late[0], 1, -1] = 0.1
    record["angle_epoch"][late[0], 1] = 0.0
    after = turning.widths(record)["others"]
    assert after.counted == before.counted - 1
    assert math.isfinite(after.interval.high)
    N = float(record["N"][late[0]])
    assert "below 20 %: lr = 0.1, wd" in tables.table(record, 5).seen
    assert f"N = {N:g} (1 of 3)." in tables.table(record, 5).seen
