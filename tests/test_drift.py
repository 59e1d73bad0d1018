"""Whether a norm stands still: the rule that records and monitors share."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sde_si.estimators import Estimate, drift
from sde_si.estimators.window import _drifting


def test_of_one_path_the_drift_has_an_error_or_none():
    """The error is that along the path; of few epochs there is none, which is not told as 0."""
    x = np.arange(40.0)
    found = drift.slope(x, 0.01 * x + 0.1 * np.random.default_rng(0).standard_normal(40))
    assert abs(found.value - 0.01) < 4 * found.stderr
    assert 0 < found.stderr < 0.005
    few = drift.slope(x[:5], 0.01 * x[:5])
    assert few.value == pytest.approx(0.01)
    assert math.isnan(few.stderr)
    assert "error not known" in drift.said(few)
    assert drift.drifts(few) is None
    for value, error, expected in ((0.01, 0.003, False), (0.03, 0.002, True), (0.022, 0.001, None), (0.0, 0.03, None)):
        assert drift.drifts(Estimate(value, error)) is expected


def test_one_path_is_judged_by_the_error_along_it(seed):
    noise, time = np.random.default_rng(seed).standard_normal((1, 60)), np.arange(60)
    assert not _drifting(0.01 * noise, 0.1)
    assert "the norm drifts" in _drifting(0.01 * noise + 0.02 * time, 0.1)
    short = _drifting(0.01 * noise[:, :5] + 0.02 * time[:5], 0.1)
    assert "not known well enough" in short
    assert "one path needs 8 epochs" in short
    assert "± 0 " not in short
    assert not _drifting(1e-5 * noise[:, :5], 0.1)  # so small a change needs no error
