"""Rotation in a basin (theory.md 18) and windows of reshuffled epochs (1.13), against independent computations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sde_si import theory
from sde_si.errors import BadInput


def brute_force(steps, b, momentum):
    """Variance and lag covariances of x'' = (1 + mu - b) x' - mu x + unit noise, by the Lyapunov equation."""
    T, K = np.array([[1 + momentum - b, -momentum], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 0.0]])
    S = np.linalg.solve(np.eye(4) - np.kron(T, T), K.ravel()).reshape(2, 2)
    return S[0, 0], np.array([(np.linalg.matrix_power(T, n) @ S)[0, 0] for n in range(steps + 1)])


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("b", [1e-3, 0.02, 0.3, 1.9])
def test_a_mode_is_its_autoregression(b, momentum):
    variance, covariances = brute_force(30, b, momentum)
    assert theory.mode_variance(b, momentum) == pytest.approx(variance, rel=1e-9)
    # one mode with all the noise, as if it were the only one: 1 - cos = (var - cov)/R, R = V(u) of the noise alone
    u = b / 10
    found = theory.confined_versines(30, u, momentum, [b - u], [3.0], balanced=False)
    assert found == pytest.approx((variance - covariances) / theory.mode_variance(u, momentum), rel=1e-9)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_without_curvature_it_is_the_law_of_noise_alone(momentum):
    u = 1e-3
    for balanced in (True, False):
        found = theory.confined_versines(50, u, momentum, [0.0, 0.0], [1.0, 3.0], balanced=balanced)
        assert found == pytest.approx(1 - theory.lag_cosines(50, u, momentum), abs=1e-14)
    flat = theory.basin(0.1, u / 0.1, momentum, curvatures=[0.0, 0.0], traces=[1.0, 3.0])
    assert flat.norm_squared == pytest.approx(theory.sgd_moments(0.1, u / 0.1, momentum, noise_trace=4.0).xx, rel=1e-12)


def test_the_confinement_factor_of_small_pulls():
    u, n, pulls, weights = 1e-8, 2000, np.array([0.0, 1e-4, 2e-3]), np.array([0.5, 0.3, 0.2])
    z = n * (u + pulls)
    factor = weights @ (-np.expm1(-z) / z)
    assert theory.confined_versines(n, u, 0.0, pulls, weights)[n] == pytest.approx(n * u * factor, rel=2e-3)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_step_angle_stays_that_of_9_2(momentum):
    """It needs a stationary norm only, whatever the loss; the printed law, without the signal's share, misses it."""
    u, pulls, weights = 1e-4, [0.0, 0.05, 0.2], [1.0, 2.0, 3.0]
    exact = u / (1 + momentum)
    assert theory.confined_versines(1, u, momentum, pulls, weights)[1] == pytest.approx(exact, rel=1e-12)
    printed = theory.confined_versines(1, u, momentum, pulls, weights, balanced=False)[1]
    assert printed > 1.01 * exact


@pytest.mark.parametrize(
    ("momentum", "u", "b", "measured"),
    [(0.0, 2e-4, 0.020, 0.989), (0.9, 1e-4, 0.010, 0.997), (0.5, 2e-4, 0.050, 0.982), (0.9, 1e-4, 0.099, 0.974)],
)
def test_the_balance_explains_what_18_7_quotes_against_the_printed_law(momentum, u, b, measured):
    exact, printed = (theory.confined_versines(16, u, momentum, [b - u], [1.0], balanced=k)[1:] for k in (True, False))
    assert np.ptp(exact / printed) < 1e-12
    assert (exact / printed)[0] == pytest.approx(measured, abs=0.0015)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_basin_is_the_fixed_point_of_its_own_balance(momentum):
    lr, wd, k, tau = 0.1, 1e-3, np.array([0.0, 2.0, 5.0]), np.array([0.1, 0.2, 0.3])
    found = theory.basin(lr, wd, momentum, curvatures=k, traces=tau)
    assert found.pulls == pytest.approx(lr * k / found.norm_squared, rel=1e-12)
    moved = 0.0
    for pull, trace in zip(found.pulls, tau, strict=True):
        variance, covariances = brute_force(1, lr * wd + pull, momentum)
        moved += 2 * lr**2 * trace / found.norm_squared * (variance - covariances[1])
    assert moved == pytest.approx(2 * lr * wd / (1 + momentum) * found.norm_squared, rel=1e-9)


@pytest.mark.parametrize("pull", [0.0, 2.0, 2.5])
def test_an_unstable_mode_is_refused(pull):
    with pytest.raises(BadInput, match="unstable"):
        theory.mode_variance(pull)


@pytest.mark.parametrize(("n", "mu", "u"), [(44, 0.9, 1.6e-4), (391, 0.9, 2e-5), (20, 0.5, 1e-3), (20, 0.95, 1e-4)])
def test_whole_reshuffled_epochs_are_those_of_1_13(n, mu, u):
    assert theory.reshuffled_versine(n, u, mu) == pytest.approx(1 - theory.reshuffled(n, u, mu).cos_epoch, rel=1e-9)


@pytest.mark.parametrize("phi", [0.0, 0.25, 0.5, 0.9])
def test_windows_without_momentum_are_the_last_formula_of_1_13(phi):
    n, u = 40, 1e-6
    expected = 2 * n * u * phi * (1 - phi) * n / (n - 1)
    assert theory.reshuffled_versine(n, u, start=round(phi * n)) == pytest.approx(expected, rel=1e-6, abs=1e-15)


@pytest.mark.parametrize(("mu", "start", "length"), [(0.0, 7, 20), (0.5, 3, 9), (0.8, 0, 31), (0.8, 13, 20)])
def test_windows_against_the_covariance_of_their_noise(mu, start, length):
    """The same displacement from explicit covariances of the noise, step by step, many epochs back."""
    n, u, back = 20, 1e-7, 10
    total = (back + 3) * n
    C = np.kron(np.eye(back + 3), np.eye(n) * n / (n - 1) - 1 / (n - 1))
    v, x = np.zeros(total), [np.zeros(total)]
    for j in range(total):
        v = mu * v
        v[j] += 1
        x.append(x[-1] + v)
    d = x[back * n + start + length] - x[back * n + start]
    f = 1 - 2 * mu / ((n - 1) * (1 - mu)) * (1 - (1 - mu**n) / (n * (1 - mu)))
    expected = u * (1 - mu) / f * (d @ C @ d)
    assert theory.reshuffled_versine(n, u, mu, start=start, length=length) == pytest.approx(expected, rel=1e-6)
    assert math.isfinite(expected)


@pytest.mark.parametrize(("n", "rho", "printed"), [(2000, 0.2, 4.852e-5), (500, 1.0, 8.631e-3)])
def test_all_orders_are_the_recursion_that_1_13_quotes(n, rho, printed):
    assert theory.reshuffled_versines(n, rho / n, 0.0, n)[n] == pytest.approx(printed, rel=1.2e-4)


@pytest.mark.parametrize(
    ("n", "mu", "u", "d", "measured", "error"),
    [(44, 0.9, 1.6e-4, 64, 1.195e-2, 5e-3), (391, 0.9, 2e-5, 64, 1.749e-3, 1e-2), (20, 0.5, 1e-3, 64, 1.343e-3, 1e-2),
     (20, 0.95, 1e-4, 128, 6.989e-3, 5e-3), (44, 0.9, 8e-4, 64, 6.29e-2, 5e-3)],
)  # fmt: skip
def test_all_orders_and_the_leading_finite_d_term_are_what_1_13_measured(n, mu, u, d, measured, error):
    finite = (n * u / (1 - mu)) ** 2 * (n + 1) / (6 * (d - 1) * (n - 1))
    found = theory.reshuffled_versines(n, u, mu, n)[n] + finite
    assert found == pytest.approx(measured, rel=error)


@pytest.mark.parametrize(("mu", "start", "lag"), [(0.0, 20, 40), (0.9, 0, 40), (0.9, 0, 20), (0.9, 15, 60)])
def test_all_orders_begin_with_the_first(mu, start, lag):
    """The relative difference is of first order in n u/(1 - mu)."""
    n, off = 40, []
    for u in (1e-5 * (1 - mu), 1e-4 * (1 - mu)):
        exact = theory.reshuffled_versines(n, u, mu, lag, start=start)[lag]
        off.append(exact / theory.reshuffled_versine(n, u, mu, start=start, length=lag) - 1)
    assert abs(off[0]) < 2e-4
    assert off[1] / off[0] == pytest.approx(10, rel=0.05)
