"""The curves that claims hand to their figures: whole, finite, and with the right line first."""

from __future__ import annotations

import numpy as np
import pytest

from sde_si.verify import CLAIMS, verify

CHECKED = ("reshuffling-mid-epoch", "lr-drop-rescaled")
SIMULATED = ("cosine-against-lag", "collapse", "collapse-at-once", "transient", "last-phase", "last-phase-equilibrium",
             "schedule-forms", "schedules", "yun-15", "reshuffling", "reshuffling-as-replacement",
             "reshuffling-all-orders", "reshuffling-within-epoch", "free-rotation-in-a-basin", "confinement",
             "confinement-noise-norm", "linear-rate", "lr-drop", "batch-jump")  # fmt: skip


def check_curves(measurements, *, first_is_predicted=True):
    curves = [one for one in measurements if one.curve is not None]
    assert curves
    for one in curves:
        curve = one.curve
        shape = np.shape(curve.x)
        assert len(shape) == 1
        assert shape[0] > 3
        lines = [np.asarray(line, dtype=float) for line in curve.lines.values()]
        for values in (curve.x, curve.measured, curve.stderr, *lines):
            assert np.shape(values) == shape
            assert np.isfinite(values).all()
        assert min(np.asarray(curve.stderr)) >= 0
        assert curve.xlabel
        assert curve.ylabel
        assert curve.log in ("", "x", "y", "xy")
        assert len(lines) >= 2, "what the claim says, and what it is held against"
        if first_is_predicted:
            known = [value for value in (one.predicted, one.truth) if value is not None]
            assert any(np.isclose(lines[0], value, rtol=1e-9).any() for value in known), "the right line first"


@pytest.mark.parametrize("name", CHECKED)
def test_curves_of_checks(name):
    check = CLAIMS[name].check
    assert check is not None
    check_curves(check(np.random.default_rng(0)))


@pytest.mark.slow
@pytest.mark.parametrize("name", SIMULATED)
def test_curves_of_simulations(name, tmp_path):
    """At a twentieth of the paths: the shape counts, not the numbers. Two claims state more than their course."""
    [result] = verify([CLAIMS[name]], folder=tmp_path, scale=0.05, threads=2)
    check_curves(result.measurements, first_is_predicted=name not in ("linear-rate", "collapse"))
