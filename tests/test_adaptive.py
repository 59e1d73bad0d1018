"""Adam, AdamW, Lion: against torch, and their theory against integrals, recursions and limits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sde_si import METHODS, BadInput, HyperParameters, Problem, simulate, theory
from sde_si.engine import Engine
from sde_si.methods import HYPER
from sde_si.resolve import resolve
from sde_si.simulate.session import Session
from sde_si.theory.adaptive import adamw_correlations, lion_correlations

HP = HyperParameters(N=60, B=4, lr=0.02, wd=0.3, momentum=0.9, epochs=6, schedule="multi-step:2,4")
ADAPTIVE = [name for name, method in METHODS.items() if method.extras]


def _walk(name, gradients, rates, *, wd, beta1, beta2, eps):
    """Weights after every step of a method on given gradients (step, path, d)."""
    scheme = METHODS[name].scheme(momentum=True)
    steps, paths, d = gradients.shape
    x, out, walk = np.ones((paths, d)), np.empty((paths, d)), []
    state, row = np.zeros((scheme.slots, paths, d)), np.zeros(1, HYPER)
    row["wd"], row["momentum"], row["beta2"], row["eps"], row["h"], row["batch"] = wd, beta1, beta2, eps, 1, 1
    for k in range(steps):
        row["lr"], row["step"] = rates[k], k
        scheme.step(x, state, row[0], np.array([0, d]), gradients[k : k + 1].copy(), out)
        x = out.copy()
        walk.append(x)
    return np.stack(walk)


@pytest.mark.parametrize(("beta1", "beta2", "eps"), [(0.9, 0.999, 1e-8), (0.0, 0.95, 1e-3), (0.99, 0.5, 0.0)])
@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_is_that_of_torch(name, beta1, beta2, eps):
    """On one sequence of gradients, with a learning rate that changes."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    gradients = rng.standard_normal((200, 3, 7)) * 10.0 ** rng.uniform(-3, 2, (200, 1, 1))
    rates = 0.05 * 0.99 ** np.arange(200)
    found = _walk(name, gradients, rates, wd=0.1, beta1=beta1, beta2=beta2, eps=eps)
    weights = torch.ones((3, 7), dtype=torch.float64, requires_grad=True)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    optimizer = kind([weights], lr=0.05, betas=(beta1, beta2), eps=eps, weight_decay=0.1, foreach=False)
    for k in range(200):
        optimizer.param_groups[0]["lr"] = float(rates[k])
        weights.grad = torch.from_numpy(gradients[k].copy())
        optimizer.step()
        np.testing.assert_allclose(found[k], weights.detach().numpy(), rtol=1e-11, atol=1e-13)


def test_lion_is_that_of_its_paper():
    rng = np.random.default_rng(4)
    gradients = rng.standard_normal((100, 2, 5))
    found = _walk("lion", gradients, np.full(100, 0.01), wd=0.2, beta1=0.9, beta2=0.99, eps=0)
    x, m = np.ones((2, 5)), np.zeros((2, 5))
    for k in range(100):
        x = x - 0.01 * (np.sign(0.9 * m + 0.1 * gradients[k]) + 0.2 * x)
        m = 0.99 * m + 0.01 * gradients[k]
        np.testing.assert_allclose(found[k], x, rtol=1e-13)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_saved_states_go_on_as_if_never_stopped(name, tmp_path):
    """Memory and the step that the bias correction counts are saved; any number of threads."""
    run = resolve(Problem("vmf", dim=6), HP, method=name, paths=300)
    whole = Session(run, threads=2)
    whole.advance()
    first = Session(run.replace(hyperparameters=HP.replace(**METHODS[name].extras)), threads=1)
    first.advance(3)
    first.save_states(tmp_path)
    second = Session(run, threads=1)
    assert second.restore(tmp_path) == 3
    second.advance()
    assert np.array_equal(whole.blocks[0].x, second.blocks[0].x)
    assert np.array_equal(whole.results["angle_step"], second.results["angle_step"])


@pytest.mark.parametrize("name", ADAPTIVE)
def test_extras_are_part_of_the_configuration(name):
    """Defaults filled in, other values another record, and what a method does not use refused."""
    run = resolve(Problem("isotropic"), HP, method=name)
    made = run.configuration()
    assert {key: made[key] for key in METHODS[name].extras} == dict(METHODS[name].extras)
    assert run.digest() == resolve(Problem("isotropic"), HP.replace(**METHODS[name].extras), method=name).digest()
    other = resolve(Problem("isotropic"), HP.replace(beta2=0.5), method=name, init_norm=run.start_norm)
    assert other.digest() != run.digest()
    with pytest.raises(BadInput, match="beta2"):
        resolve(Problem("isotropic"), HP.replace(beta2=0.5), method="sgd")
    assert "beta2" not in resolve(Problem("isotropic"), HP, method="sgd").configuration()


def test_eps_is_refused_by_lion():
    with pytest.raises(BadInput, match="eps"):
        resolve(Problem("isotropic"), HP.replace(eps=1e-8), method="lion")


@pytest.mark.parametrize(("key", "value"), [("beta2", 1.0), ("beta2", -0.1), ("eps", -1e-8), ("eps", math.nan)])
def test_bad_extras(key, value):
    with pytest.raises(BadInput, match=key):
        HyperParameters(**{key: value})


# --- theory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta1", [0.0, 0.5, 0.9])
def test_displacement_of_adamw_against_an_integral(beta1):
    """E m^2/v = int_0^inf sum_j a_j^2/(1 + 2t c_j) prod_j (1 + 2t c_j)^(-1/2) dt; the formula is its first order."""
    from scipy.integrate import quad

    misses = []
    for beta2 in (0.996, 0.998):
        j = np.arange(int(40 / (1 - beta2)))
        a, c = (1 - beta1) * np.power(beta1, j), (1 - beta2) * beta2**j

        def integrand(s, a=a, c=c):
            t = math.exp(s)
            return t * float(np.sum(a * a / (1 + 2 * t * c))) * math.exp(-0.5 * float(np.sum(np.log1p(2 * t * c))))

        exact = quad(integrand, -30, 12, limit=300)[0]
        simple = (1 - beta1) / (1 + beta1)
        misses.append(adamw_correlations(0.1, beta1, beta2)[0] / exact - 1)
        assert abs(misses[-1]) < 0.1 * abs(simple / exact - 1)
    assert misses[0] / misses[1] == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize(("u", "beta1"), [(1e-3, 0.9), (0.02, 0.5), (0.1, 0.0)])
def test_adamw_of_constant_second_moment_is_sgdw(u, beta1):
    """Norm, one-step and long cosines by the closed forms of theory.md 9.5 for a gradient of fixed size."""
    found = theory.adamw_equilibrium(u, beta1, 1 - 1e-13, steps=30)
    np.testing.assert_allclose(found.cosines, theory.decoupled_lag_cosines(30, u, beta1), rtol=1e-11)
    b = 1 - u
    expected = (1 - beta1) / (1 + beta1) * (1 + b * beta1) / ((1 - b * b) * (1 - b * beta1))
    assert found.norm_squared == pytest.approx(expected, rel=1e-10)
    assert found.rotation == pytest.approx(math.sqrt(2 * (1 - found.cosines[1])), rel=1e-9)


def test_the_table_is_the_limit_of_the_exact_laws():
    """Kosson's rows at u << 1-b1, 1-b2; Lion's but for the linearised sign, of small rho that reach far."""
    u = 1e-7
    exact = theory.adamw_equilibrium(u, 0.9, 0.99999)
    row = theory.kosson_adamw(1.0, u, 0.9, 1)
    assert math.sqrt(exact.norm_squared) == pytest.approx(row.norm, rel=1e-4)
    assert exact.rotation == pytest.approx(row.rotation, rel=1e-4)
    lion, line = theory.lion_equilibrium(0.9, 0.9999, 1e-7), theory.kosson_lion(1.0, 1e-7, 0.9, 0.9999, 1)
    assert math.sqrt(lion.norm_squared) == pytest.approx(line.norm, rel=5e-3)


def test_lion_correlations_are_those_of_its_recursion():
    """Gaussian average of b1 m + (1-b1) g by its own covariance recursion, then the arcsine."""
    b1, b2 = 0.8, 0.9
    weights = np.concatenate([[1 - b1], b1 * (1 - b2) * b2 ** np.arange(400)])
    rho = np.correlate(weights, weights, "full")[weights.size - 1 :] / (weights @ weights)
    found = lion_correlations(0.05, b1, b2)[:50]
    np.testing.assert_allclose(found, 2 / math.pi * np.arcsin(np.minimum(rho[:50], 1)), rtol=1e-12)


@pytest.mark.parametrize(("beta2", "power"), [(0.9, 2.0), (0.999, 0.5), (0.9999, None)])
def test_relaxation_of_adamw_is_the_tail_of_its_recursion(beta2, power):
    u, equilibrium = 1e-3 if power != 2.0 else 1e-4, theory.adamw_equilibrium
    end, rate = equilibrium(u, 0.0, beta2).norm_squared, theory.adam_relaxation(u, beta2, decoupled=True)
    steps = int(6 / rate)
    deviation = theory.adamw_norms(steps, u, 0.0, beta2, 0.8 * end) / end - 1
    found = -math.log(deviation[steps] / deviation[steps // 2]) / (steps - steps // 2)
    assert found == pytest.approx(rate, rel=0.03)
    if power == 2.0:
        assert rate == pytest.approx(2 * u, rel=5e-3)
    else:
        assert rate < u / 2, "the second moment's memory holds the norm back"


@pytest.mark.parametrize("name", ADAPTIVE)
def test_without_a_linear_theory_nothing_pretends_to_have_one(name):
    run = resolve(Problem("isotropic"), HP.replace(schedule="constant"), method=name)
    assert run.scheme.linear is None
    with pytest.raises(BadInput, match="linear theory"):
        theory.Closure(run)
    assert math.isnan(theory.displacement_ratio(run))
    record = theory.predict(run)
    assert np.isnan(record["cos_epoch_predicted"].values).all()
    assert np.isnan(record["angle_epoch_paper"].values).all()
    rows = theory.equilibrium(run)
    assert all(row.value is not None or row.note for row in rows.values())
    assert rows["weight_norm"].paper is not None
    assert rows["time_to_equilibrium"].value == pytest.approx(1 / theory.relaxation_rate(run))
    assert run.start_norm == pytest.approx(theory.equilibrium_norm(run))


@pytest.mark.parametrize(
    ("loss", "changes", "options", "word"),
    [
        ("vmf", {}, {}, "mean gradient"),
        ("isotropic", {"wd": 0.0}, {}, "no equilibrium"),
        ("isotropic", {}, {"noise": "rademacher"}, "normal"),
        ("isotropic", {}, {"sampling": "reshuffle"}, "reshuffled"),
        ("isotropic", {"eps": 1.0}, {}, "eps"),
        ("isotropic", {"momentum": 1 - 1e-9, "lr": 1e-9}, {}, "too close to 1"),
    ],
)
def test_no_prediction_says_why(loss, changes, options, word):
    hp = HP.replace(schedule="constant", **changes)
    run = resolve(Problem(loss, dim=16), hp, method="adamw", **options)
    rows = theory.equilibrium(run)
    assert all(row.value is None and word in row.note for row in rows.values())


def test_adam_on_a_loss_of_unknown_noise_has_no_window():
    hp = HP.replace(schedule="constant", epochs=8)
    record = simulate(Problem("pca", dim=5), hp, method="adam", paths=4)
    assert math.isnan(record.attrs["relaxation_rate"])
    from sde_si.simulate.api import begin_of_search

    with pytest.raises(BadInput, match="known"):
        begin_of_search(resolve(Problem("pca", dim=5), hp, method="adam"))


def test_the_engine_hands_the_coefficients_to_the_step():
    run = resolve(Problem("isotropic", dim=4), HP.replace(beta2=0.7, eps=0.1), method="adamw")
    row = Engine(run).rows(1, 3, 4)[0]
    assert (row["beta2"], row["eps"], row["momentum"], row["step"]) == (0.7, 0.1, 0.9, 18)


def test_adam_with_l2_decay_relaxes_at_three_times_its_decay(seed):
    """Tail of the approach from 0.7 of the length; AdamW's 2 and SGD's 4 are rejected (2u and 4u would be 33 % off)."""
    hp = HyperParameters(N=1000, B=100, lr=0.003, wd=0.05, momentum=0.9, epochs=200, beta2=0.95)
    run = resolve(Problem("isotropic", dim=512), hp, method="adam", paths=64, seed=seed, init_norm="0.7eq")
    session = Session(run)
    session.advance()
    square = (session.record()["weight_norm"].values[..., 0] ** 2).mean(axis=0)
    rate = theory.relaxation_rate(run)
    deviation = square / square[100:].mean() - 1
    first, last = int(1 / rate), int(2 / rate)
    found = math.log(deviation[first] / deviation[last]) / (last - first)
    assert found == pytest.approx(rate, rel=0.1)
