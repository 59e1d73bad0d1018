"""The exact flow of the momentum SDE against Van Loan's block exponential, and each setting on its own."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sde_si import METHODS
from sde_si.methods.integrators import flow
from sde_si.testing.textbook import van_loan

SETTINGS = {
    "lr": st.floats(1e-4, 1e2),
    "wd": st.just(0.0) | st.floats(1e-8, 5.0),
    "momentum": st.floats(0.0, 0.9999),
    "h": st.sampled_from([1.0, 0.5, 0.25, 1 / 64]),
}


@given(**SETTINGS)
def test_the_flow_is_van_loan_s_exponential(lr, wd, momentum, h):
    # scipy's own error grows with |drift| h: at u = 500 it is some 1e-12 (against 40 digits; the series has 2e-15)
    for name, found, expected in zip(
        ("matrix", "covariance", "force"), flow(lr, wd, momentum, h), van_loan(lr, wd, momentum, h), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11 * np.abs(expected).max(), err_msg=name)


@given(st.lists(st.tuples(*(SETTINGS[name] for name in ("lr", "wd", "momentum"))), min_size=2, max_size=40))
def test_a_setting_of_a_schedule_is_as_it_is_alone(settings):
    """To the bit: else a resumed schedule would not be the one that was cut."""
    columns = METHODS["splitting"].heavy.coefficients
    lr, wd, momentum = np.array(settings).T
    together = columns(lr, wd, momentum, 0.25)
    for i, setting in enumerate(settings):
        alone = columns(*(np.array([value]) for value in setting), 0.25)
        assert all(together[name][i] == alone[name][0] for name in together)


def test_what_has_no_learning_rate_coasts():
    """lr 0 (a schedule's end): no noise and no force, the velocity is damped."""
    columns = METHODS["splitting"].heavy.coefficients(np.zeros(1), np.ones(1), np.array([0.9]), 1.0)
    assert [columns[name][0] for name in ("noise2", "c0", "c2", "c4", "c5")] == [0, 1, 0, 0, 0]
    assert columns["c3"][0] == pytest.approx(np.exp(-0.1), rel=1e-15)
    assert columns["c1"][0] == pytest.approx(-np.expm1(-0.1) / 0.1, rel=1e-15)
    assert np.isfinite(columns["noise1"][0])


def test_the_flow_makes_no_call_to_linear_algebra(monkeypatch):
    """BLAS threads that wait for each other made a schedule 300 times slower on a busy machine."""

    def refused(*_):
        raise AssertionError("a call to LAPACK")

    for name in [name for name in dir(np.linalg) if callable(getattr(np.linalg, name)) and not name[0].isupper()]:
        monkeypatch.setattr(np.linalg, name, refused)
    monkeypatch.setitem(sys.modules, "scipy.linalg", None)
    matrix, _, _ = flow(np.linspace(0.01, 0.1, 5), 1e-3, 0.9, 0.25)
    assert matrix.shape == (5, 2, 2)
    with pytest.raises(AssertionError, match="LAPACK"):  # the trap is set
        np.linalg.inv(matrix)
