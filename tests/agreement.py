"""When a measured value agrees with theory, for statistical tests."""

from __future__ import annotations

from sde_si import HyperParameters
from sde_si.estimators import equilibrium, window_of

TOLERANCE = 0.005


def close(value, stderr, predicted, relative=TOLERANCE):
    """Whether a measured value agrees: five standard errors, or the stated tolerance."""
    return abs(value - predicted) <= max(5 * stderr, relative * abs(predicted))


def settled(record, quantity):
    window = window_of(record)
    assert window, window.why
    return equilibrium(record, window, quantity)


def hyper(tuning_factor, momentum, ratio, **more):
    """Hyperparameters of a given tuning factor, momentum and N/B."""
    u = tuning_factor * (1 - momentum) / ratio
    return HyperParameters(N=ratio * 8, B=8, lr=0.1, wd=u / 0.1, momentum=momentum, **more)
