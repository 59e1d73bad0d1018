"""Errors of estimators, and digits of small angles."""

from __future__ import annotations

import numpy as np
import pytest

from sde_si import estimators


def test_errors_of_means_ratios_and_left_out_paths():
    """Against the spread of a thousand repetitions."""
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((2, 1000, 200))
    top, bottom = 2 + x, 4 + x + 0.1 * y
    found = [estimators.ratio(a, b) for a, b in zip(top, bottom, strict=True)]
    spread = np.std([one.value for one in found])
    assert np.mean([one.value for one in found]) == pytest.approx(0.5, abs=0.002)
    assert np.mean([one.stderr for one in found]) == pytest.approx(spread, rel=0.1)
    roots = [estimators.rms(row) for row in x]
    assert np.mean([one.stderr for one in roots]) == pytest.approx(np.std([one.value for one in roots]), rel=0.1)
    folds = [estimators.jackknife(lambda kept, row=row: row[kept].mean() ** 2, 200, 20) for row in top]
    assert np.mean([error for _, error in folds]) == pytest.approx(np.std([value for value, _ in folds]), rel=0.15)


def test_small_angles_keep_their_digits():
    x = np.array([3.0, 0.0])
    for angle in (1e-9, 1e-4, 1.0, 3.0):
        y = 0.2 * np.array([np.cos(angle), np.sin(angle)])
        exact = 2 * np.sin(angle / 2) ** 2
        assert estimators.versine(np.array(angle)) == pytest.approx(exact, rel=1e-15)
        assert estimators.chord_versine(x, y) == pytest.approx(exact, rel=1e-7)
