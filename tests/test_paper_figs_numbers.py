"""Statements of the papers in numbers, on made tables with a known answer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from paper_figs import accuracy, grid, quantified
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
    found = quantified.spreads(angle, np.full(8, 5), equal)
    assert found["equal tuning factor"].value < 0.05
    assert found["others"].value > 0.5
    assert found["equal tuning factor"].high < found["others"].low
    early = quantified.spreads(angle, np.zeros(8, int), equal)
    assert early["equal tuning factor"].value > 1.5 * found["equal tuning factor"].value


def test_transient_end_follows_the_slowest_law():
    assert quantified.transient_end(np.array([0.05])).tolist() == [35]
    assert quantified.transient_end(np.array([5.0]), 10).tolist() == [15]


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
