"""Predictions of the monitor in plain numbers."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch")

from sde_si import theory
from sde_si.theory.optimizers import (
    Rule,
    adam_equilibrium,
    equilibrium_angle,
    equilibrium_norm,
    equilibrium_versine,
    relaxation,
)


@pytest.mark.parametrize(("u", "mu"), [(1e-4, 0.0), (1e-3, 0.9), (0.02, 0.5), (0.05, 0.99)])
@pytest.mark.parametrize("lag", [1, 2, 7, 200])
def test_linear_recursion_is_the_closed_form(u, mu, lag):
    coupled = 1 - theory.lag_cosines(lag, u, mu)[lag]
    decoupled = 1 - theory.decoupled_lag_cosines(lag, u, mu)[lag]
    assert equilibrium_versine(Rule("sgd", 0.1, u / 0.1, mu), lag) == pytest.approx(coupled, rel=1e-9, abs=1e-14)
    assert equilibrium_versine(Rule("sgdw", 0.1, u / 0.1, mu), lag) == pytest.approx(decoupled, rel=1e-9, abs=1e-14)
    # AdamW with a second moment that does not fluctuate
    adamw = Rule("adamw", 0.1, u / 0.1, mu, 1 - 1e-13)
    assert equilibrium_versine(adamw, lag) == pytest.approx(decoupled, rel=1e-9, abs=1e-14)


def test_leading_order_of_the_table():
    """The rows of theory.md 6.7 are the limits of small u."""
    u, b1, C = 1e-6, 0.9, 400
    adamw = Rule("adamw", 1e-3, u / 1e-3, b1, 1 - 1e-9)
    assert equilibrium_angle(adamw) == pytest.approx(math.sqrt(2 * u * (1 - b1) / (1 + b1)), rel=1e-4)
    assert equilibrium_norm(adamw, C) == pytest.approx(math.sqrt(adamw.lr * C / (2 * adamw.wd)), rel=1e-4)
    star, pull = adam_equilibrium(Rule("adam", 1e-3, 1e-2, b1, 0.99), C, norm=2.0, root_sum=50.0)
    assert star == pytest.approx((1e-3 * 100 / 2e-2) ** (1 / 3))
    rotation = math.sqrt((1 - b1) / (1 + b1)) * 1e-3 * math.sqrt(C) / star
    assert equilibrium_angle(Rule("adam", 1e-3, 1e-2, b1, 0.99), adam_pull=pull) == pytest.approx(rotation, rel=1e-3)
    nesterov = Rule("nesterov", 0.1, u / 0.1, 0.9)
    # (1 + mu - mu^3 ... )/...: Nesterov's step is longer than SGDM's, its long lags are the same
    assert equilibrium_angle(nesterov) > equilibrium_angle(Rule("sgd", 0.1, u / 0.1, 0.9)) * 1.1
    lag = 10_000
    assert equilibrium_versine(nesterov, lag) == pytest.approx(1 - theory.lag_cosines(lag, u, 0.9)[lag], rel=1e-2)


@pytest.mark.parametrize(
    ("betas_u", "norm", "rotation"),
    [((0.9, 0.99, 2e-3), 9624.607094, 0.01000503), ((0.95, 0.98, 1e-3), 27739.908398, 0.00592319),
     ((0.9, 0.99, 2e-4), 112636.362877, 0.00297320)],
)  # fmt: skip
def test_lion_has_the_golden_values(betas_u, norm, rotation):
    b1, b2, u = betas_u
    rule = Rule("lion", 0.01, u / 0.01, b1, b2)
    assert equilibrium_norm(rule, 1) ** 2 / 1e-4 == pytest.approx(norm, rel=1e-9)
    assert math.sqrt(2 * equilibrium_versine(rule)) == pytest.approx(rotation, rel=1e-5)
    # lags beyond the sign's memory forget at the rate of the decay
    far = 4000
    later = far + round(1 / u)
    assert (1 - equilibrium_versine(rule, later)) / (1 - equilibrium_versine(rule, far)) == pytest.approx(
        (1 - u) ** (later - far), rel=1e-4
    )


def test_a_rule_without_a_law_predicts_nothing():
    for rule in (Rule("sgd", 0.1, 0.0), Rule("RMSprop", 0.1, 0.1), Rule("sgd", 2.0, 1.0), Rule("adam", 0.1, 0.1, 0.9)):
        assert math.isnan(equilibrium_angle(rule))
        assert math.isnan(equilibrium_norm(rule, 10))
    assert relaxation(Rule("sgd", 0.1, 0.0)) == (math.inf, 1.0)
    assert relaxation(Rule("sgd", 0.1, 1e-3))[0] == pytest.approx(1 / (4e-4), rel=1e-3)
    assert relaxation(Rule("lion", 0.1, 1e-3, 0.9, 0.99))[0] == pytest.approx(1 / 2e-4)
    # 2u only where the second moment forgets much faster than the norm moves
    assert relaxation(Rule("adamw", 0.01, 1e-3, 0.9, 0.9))[0] == pytest.approx(1 / 2e-5, rel=1e-3)
    assert relaxation(Rule("adamw", 0.1, 1e-2, 0.9, 0.999))[0] == pytest.approx(1 / (0.44 * 1e-3), rel=0.01)
