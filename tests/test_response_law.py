"""The rotation by the response to noise, with time-reversal symmetry and without (theory.md 18.8, 18.9)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

from sde_si import theory
from sde_si.errors import BadInput


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_the_response_to_a_kick_tells_the_rotation(momentum):
    """Of modes of any curvature, negative ones among them: no curvature enters."""
    u, steps = 1e-4, 300
    pulls, weights = np.array([-1e-3, 0.0, 0.003, 0.05, 0.6]), np.array([0.1, 0.2, 0.3, 0.3, 0.1])
    kicked = [np.zeros(5), np.ones(5)]
    for _ in range(steps - 1):
        kicked.append((1 + momentum - u - pulls) * kicked[-1] - momentum * kicked[-2])
    found = theory.response_versines(u, momentum, np.array(kicked[1:]) @ weights)
    exact = theory.confined_versines(steps, u, momentum, pulls, weights)
    assert found[0] == 0
    assert found[1:] == pytest.approx(exact[1:], rel=1e-3)
    # over two steps it grows by the response, whatever happened before
    two = exact[2:] - exact[:-2]
    assert two == pytest.approx(exact[2] * (np.array(kicked[1:-1]) @ weights), rel=1e-9)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_without_time_reversal_the_response_needs_the_asymmetry(momentum):
    """18.9 for a linear force that is not symmetric, whose motion is no law's of 18.8, against its covariances."""
    rng, d, steps = np.random.default_rng(0), 4, 60
    root = rng.standard_normal((d, d))
    B = 0.02 * (root @ root.T + np.eye(d)) + 0.06 * (1 - momentum) * (root - root.T)
    noise = np.diag([1.0, 0.5, 0.1, 0.01])
    whole = np.block([[(1 + momentum) * np.eye(d) - B, -momentum * np.eye(d)], [np.eye(d), np.zeros((d, d))]])
    assert np.abs(np.linalg.eigvals(whole)).max() < 1
    covariance = solve_discrete_lyapunov(whole, np.pad(noise, (0, d)))
    lagged = [(np.linalg.matrix_power(whole, n) @ covariance)[:d, :d] for n in range(steps + 1)]
    answers = [np.linalg.matrix_power(whole, n)[:d, :d] for n in range(steps)]
    response = np.array([np.trace(one @ noise) for one in answers])
    asymmetry = np.array([np.trace(B @ one) - np.trace(B @ one.T) for one in lagged[1:]])
    half = np.array([np.trace(lagged[0] - one) for one in lagged])
    both = response + asymmetry
    assert (1 - momentum) * (half[2:] - half[:-2]) == pytest.approx(both[:-1], rel=1e-8, abs=1e-8)
    u = 1e-3
    symmetric, whole_law = (
        (theory.response_versines(u, momentum, pushes) * half[1] * (1 + momentum) / u)[steps]
        for pushes in (response, both)
    )
    assert whole_law == pytest.approx(half[steps], rel=2e-3)
    assert symmetric != pytest.approx(half[steps], rel=0.05)


def two_temperatures(momentum, noise, steps, walkers=40_000):
    """Half the mean squared displacement, response and asymmetry of two coordinates with noises of their own.

    L = (.3 x^2 + .02 y^2)/2 - cos(y - 2x): the noise that one has reaches the other through a force that is not linear.
    """
    lr, rng = 0.2, np.random.default_rng(1)

    def loss(z):
        return 0.15 * z[0] ** 2 + 0.01 * z[1] ** 2 - np.cos(z[1] - 2 * z[0])

    def gradient(z):
        pull = np.sin(z[1] - 2 * z[0])
        return np.array([0.3 * z[0] - 2 * pull, 0.02 * z[1] + pull])

    def draw():
        return (1 - momentum) * np.array(noise)[:, None] * rng.standard_normal((2, walkers))

    def step(z, v, kick):
        v = momentum * v - lr * gradient(z) + kick
        return z + v, v

    z, v = np.zeros((2, walkers)), np.zeros((2, walkers))
    for _ in range(1500):
        z, v = step(z, v, draw())
    start, slope, height = z, gradient(z), loss(z)
    kick, other = draw(), draw()
    (z, v), (twin, w) = step(z, v, kick), step(z, v, other)
    out = []
    for _ in range(steps):
        d = z - start
        answer = ((kick - other) * (z - twin)).sum(0) / 2
        ways = (d * (slope + gradient(z))).sum(0) - 2 * (loss(z) - height)
        out.append([(d * d).sum(0).mean() / 2, answer.mean(), -lr * ways.mean()])
        kicks = draw()
        (z, v), (twin, w) = step(z, v, kicks), step(twin, w, kicks)
    return np.array(out).T


@pytest.mark.parametrize(("momentum", "noise"), [(0.0, (0.6, 0.02)), (0.5, (1.0, 0.02)), (0.0, (0.6, 0.6))])
def test_noise_that_leaks_through_a_basin_breaks_the_response_law(momentum, noise):
    half, response, asymmetry = two_temperatures(momentum, noise, 100)
    over = {}
    for name, pushes in (("18.8", response), ("18.9", response + asymmetry)):
        said = theory.response_versines(1e-3, momentum, pushes)[1:]
        over[name] = half / (said / said[0] * half[0]) - 1
    assert abs(over["18.9"][19]) < 0.05
    assert abs(over["18.9"][99]) < 0.10
    if noise[0] == noise[1]:  # in equilibrium: the motion is reversible
        assert abs(over["18.8"][99]) < 0.05
    else:
        assert over["18.8"][99] > 0.35


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_response_tells_the_length_too(momentum):
    lr, wd, k, tau = 0.1, 1e-3, np.array([0.0, 2.0, 5.0]), np.array([0.1, 0.2, 0.3])
    found = theory.basin(lr, wd, momentum, curvatures=k, traces=tau)
    kicked = [np.zeros(3), np.ones(3)]
    for _ in range(30):
        kicked.append((1 + momentum - lr * wd - found.pulls) * kicked[-1] - momentum * kicked[-2])
    length = theory.response_norm(lr, wd, momentum, np.array(kicked[1:]) @ tau, noise_trace=tau.sum())
    assert length == pytest.approx(found.norm_squared**0.5, rel=1e-5)


@pytest.mark.parametrize("response", [[1.0], [0.0, 1.0], [[1.0, 1.0]]])
def test_a_response_that_is_none_is_refused(response):
    with pytest.raises(BadInput, match="response"):
        theory.response_versines(1e-4, 0.9, response)
