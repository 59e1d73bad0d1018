"""Closed forms against each other and against the recursions they summarise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sde_si import METHODS, HyperParameters, Problem, theory
from sde_si.resolve import resolve
from sde_si.theory.moments import march

MOMENTA = (0.0, 0.5, 0.9, 0.95)


@pytest.mark.parametrize(("method", "momentum", "norms", "cosines"), [
    ("sgd", 0.9,
     (1.9802000000, 3.8875169276, 4.3184292594, 6.1660090940, 7.9716405010, 9.1842930446),
     (0.9955166775, 0.9462927597, 0.8943217060, 0.8430514607)),
    ("sgd-torch", 0.9,
     (1.9802000000, 3.8875169276, 3.9193556942, 3.9555972637, 3.8549348674, 3.4259759490),
     (0.9999377155, 0.9986682579, 0.9953262448, 0.9843303269)),
    ("sgd", 0.0,
     (1.9802000000, 1.8270927224, 1.8236592911, 1.8099981834, 1.7930841534, 1.7597907887),
     (0.9999399741, 0.9996976369, 0.9993896327, 0.9987563150)),
])  # fmt: skip
def test_schedule_recursion_golden_14_14(method, momentum, norms, cosines):
    lr = np.where(np.arange(30) < 10, 0.1, 0.01)
    linear = METHODS[method].scheme(momentum > 0).linear
    pairs = [linear(0.1, 0.1, momentum, 1.0), linear(0.01, 0.1, momentum, 1.0)]
    T, K = (np.array([pair[i] for pair in pairs], dtype=float) for i in (0, 1))
    which, tau = (lr < 0.1).astype(np.int64), np.full(30, 4.0)
    Z = np.zeros((2, 2))
    Z[0, 0] = 2.0
    first, second = np.empty((10, 3)), np.empty((20, 3))
    march(Z, T, K, which[:10], tau[:10], 1, 0, np.zeros((0, 3)), first)
    reference = np.array([[Z[0, 0], Z[0, 1], Z[0, 0]]])
    march(Z, T, K, which[10:], tau[10:], 1, 0, reference, second)
    found = np.concatenate([first, second])
    for k, value in zip((1, 10, 11, 15, 20, 30), norms, strict=True):
        assert found[k - 1, 0] == pytest.approx(value, abs=6e-11)
    for k, value in zip((11, 15, 20, 30), cosines, strict=True):
        assert found[k - 1, 2] == pytest.approx(value, abs=6e-11)


@pytest.mark.parametrize("momentum", MOMENTA)
@pytest.mark.parametrize("method", ["sgd", "sgd-torch", "sgdw", "em", "splitting"])
def test_the_march_ends_at_the_equilibrium_of_its_closed_form(method, momentum):
    """Started far off, norm, step angle and epoch cosine arrive at the stationary formulas."""
    hp = HyperParameters(N=4000, B=100, lr=0.2, wd=0.05, momentum=momentum, epochs=60)
    run = resolve(Problem("isotropic", dim=10**6), hp, method=method, init_norm=0.7)
    record = theory.predict(run)
    found = theory.equilibrium(run)
    for name in ("weight_norm", "cos_epoch", "angle_step"):
        last = float(record[f"{name}_predicted"].values[-1])
        tolerance = 1e-4 if method == "splitting" else 2e-5  # the flow is marched in four substeps
        if name == "cos_epoch":
            assert 1 - last == pytest.approx(1 - found[name].value, rel=tolerance)
        else:
            assert last == pytest.approx(found[name].value, rel=tolerance)


@pytest.mark.parametrize("momentum", MOMENTA)
@pytest.mark.parametrize("u", [1e-4, 5e-3, 0.1])
def test_stationary_moments_solve_their_recursion(u, momentum):
    lr, wd, tau = 0.2, u / 0.2, 3.0
    A, C, D = theory.sgd_moments(lr, wd, momentum, noise_trace=tau)
    b, noise = 1 - u, lr**2 * tau / A
    assert b * b * A + 2 * b * momentum * C + momentum**2 * D + noise == pytest.approx(A, rel=1e-12)
    assert momentum * (b - u) * C - b * u * A + momentum**2 * D + noise == pytest.approx(C, rel=1e-12)
    assert momentum**2 * D + u * u * A - 2 * momentum * u * C + noise == pytest.approx(D, rel=1e-12)
    c1 = theory.lag_cosines(1, u, momentum)[1]
    assert theory.step_angle(u, momentum) == pytest.approx(math.acos(c1), rel=1e-6)


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_decoupled_moments_solve_their_recursion(momentum):
    lr, wd, tau = 0.2, 0.05, 3.0
    A, C, D = theory.sgdw_moments(lr, wd, momentum, noise_trace=tau)
    b, noise = 1 - lr * wd, lr**2 * tau / A
    assert b * b * A + 2 * b * momentum * C + momentum**2 * D + noise == pytest.approx(A, rel=1e-12)
    assert b * momentum * C + momentum**2 * D + noise == pytest.approx(C, rel=1e-12)
    assert momentum**2 * D + noise == pytest.approx(D, rel=1e-12)
    c = theory.decoupled_lag_cosines(3, lr * wd, momentum)
    assert c[1] == pytest.approx(b + momentum * C / A, rel=1e-12)


@pytest.mark.parametrize(("u", "momentum"), [(1e-5, 0.9), (4e-4, 0.9), (5e-3, 0.95), (0.05, 0.0), (0.01, 0.5)])
def test_relaxation_from_the_linearised_closure_is_that_of_9_4(u, momentum):
    hp = HyperParameters(N=1000, B=100, lr=0.1, wd=u / 0.1, momentum=momentum)
    run = resolve(Problem("isotropic"), hp, method="sgd", init_norm=1.0)
    closure = theory.Closure(run).relaxation_epochs() * hp.steps_per_epoch
    assert closure == pytest.approx(theory.relaxation_steps(u, momentum), rel=1e-9)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_sde_lag_cosine_is_the_limit_of_euler_maruyama(momentum):
    """First order in h: halving the substep halves the difference."""
    u, errors = 2e-3, []
    for substeps in (32, 64):
        hp = HyperParameters(N=5000, B=100, lr=0.1, wd=u / 0.1, momentum=momentum)
        run = resolve(Problem("isotropic", dim=10**6), hp, method="em", substeps=substeps, init_norm=1.0)
        cos = theory.equilibrium(run)["cos_epoch"].value
        errors.append(cos - theory.sde_lag_cosine(50, u, momentum))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)


def test_sde_lag_cosine_at_the_double_root():
    momentum = 0.9
    u = (1 - momentum) ** 2 / 4
    here = theory.sde_lag_cosine(30, u, momentum)
    assert here == pytest.approx(theory.sde_lag_cosine(30, u * (1 + 1e-6), momentum), rel=1e-4)
    assert here == pytest.approx(math.exp(-1.5) * (1 + 1.5), rel=1e-12)


def test_lr_drop_6_5():
    """Against the norm recursion (theory.md 6.5)."""
    u, drop = 5e-5, 10
    hp_lr, wd = 1.0, u
    new = hp_lr / drop
    start = theory.sgd_moments(hp_lr, wd, noise_trace=1.0).xx
    norms = theory.fixed_length_sgd(200_000, new, wd, noise_trace=1.0, start=start).norm_squared
    for k in (0, 5_000, 20_000, 100_000, 199_999):
        angle = math.atan(new / norms[k] / (1 - new * wd))
        assert angle == pytest.approx(theory.lr_drop_angle(k, new * wd, drop), rel=2e-4)


def test_without_weight_decay_nothing_is_predicted():
    run = resolve(Problem("isotropic"), HyperParameters(wd=0.0), init_norm=1.0)
    assert all(row.value is None for row in theory.equilibrium(run).values())
    # but the transient is: r ~ (2 lr^2 tau k)^(1/4) (theory.md 1.4)
    record = theory.predict(run)
    k = run.timetable.start[-1]
    tau = 255 / 128
    plain = resolve(Problem("isotropic"), HyperParameters(wd=0.0, momentum=0.0), method="splitting", init_norm=1e-3)
    grown = theory.predict(plain)["weight_norm_predicted"].values[-1]
    assert grown**4 == pytest.approx(2 * 0.01 * tau * k, rel=1e-9)
    assert np.isfinite(record["cos_epoch_predicted"].values).all()


def test_reshuffling_loses_to_replacement_as_1_12_says():
    n, u, mu = 44, 1.6e-4, 0.9
    with_replacement = 1 - theory.lag_cosines(n, u, mu)[n]
    assert 1 - theory.reshuffled(n, u, mu).cos_epoch < with_replacement / 4


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_displacement_ratio_is_2u_over_1_plus_mu(momentum):
    hp = HyperParameters(momentum=momentum)
    run = resolve(Problem("isotropic"), hp, init_norm=1.0)
    u = hp.intrinsic_lr
    assert theory.displacement_ratio(run) == pytest.approx(2 * u / (1 + momentum), rel=1e-9)
    sde = resolve(Problem("isotropic"), hp, method="em", substeps=256, init_norm=1.0)
    expected = (u * (1 / 256) ** 2) if momentum else 2 * u / 256
    assert theory.displacement_ratio(sde) == pytest.approx(expected, rel=1e-2)
