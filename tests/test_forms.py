"""Every optimizer's law stands in one place and is whole; what a stationary norm alone says of its steps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sde_si import METHODS, HyperParameters, Problem, theory
from sde_si.methods import Method, Scheme
from sde_si.methods.optimizers import PLAIN_SGD, velocity_step
from sde_si.resolve import resolve
from sde_si.theory.forms import FORMS, Rule
from sde_si.theory.linear import balanced, recursion, stationary, step_square
from sde_si.theory.optimizers import (
    assumes,
    balances,
    displacement_ratio,
    equilibrium_norm,
    equilibrium_versine,
    relaxation,
    table_rate,
)
from sde_si.tune import effects


@pytest.mark.parametrize("name", FORMS)
def test_a_law_has_what_its_size_asks_for(name):
    law = FORMS[name]
    assert (law.linear is not None, law.correlations is not None) == (law.size == "gradient", law.size == "own")
    assert (law.table is None, law.table_decay is not None) == (law.size == "gradient", law.size == "moments")
    assert bool(law.note) is (law.size == "moments")


def test_registries_name_their_laws():
    assert {name for name, method in METHODS.items() if method.extras} <= FORMS.keys()
    for name, method in effects.OPTIMIZERS.items():
        assert FORMS[name].decoupled is METHODS[method].decoupled
        assert effects.is_sgd(name) is not bool(METHODS[method].extras)


def test_trainer_and_monitor_name_their_laws():
    pytest.importorskip("torch")
    from sde_si.monitor.optimizers import FORMS_BY_CLASS
    from validation.train.optimizers import OPTIMIZERS

    assert set(FORMS_BY_CLASS.values()) <= FORMS.keys()
    for name, optimizer in OPTIMIZERS.items():
        law = FORMS["sgd" if name == "sgd-displacement" else name]
        assert (law.decoupled, law.linear is not None) == (optimizer.decoupled, optimizer.linear is not None)


@pytest.mark.parametrize("name", [name for name, law in FORMS.items() if law.size == "own"])
def test_the_table_is_the_limit_of_slow_decay(name):
    rule, dim = Rule(name, 1e-3, 1e-3, 0.9, 0.9999), 400
    norm, rotation = FORMS[name].table(rule, dim, math.nan)
    assert equilibrium_norm(rule, dim) == pytest.approx(norm, rel=0.01)
    assert math.sqrt(2 * equilibrium_versine(rule)) == pytest.approx(rotation, rel=0.01)
    assert table_rate(rule, dim, math.nan) == pytest.approx(2e-6, rel=0.03)


def _measured(form, memory, u=5e-3, momentum=0.9, lr=0.1, d=200, paths=32, steps=5000):
    """E|x'-x|^2/E|x|^2 for gradients orthogonal to x of correlation `memory` from step to step, over independent ones'.

    The optimizers as torch writes them; the second half of the steps.
    """
    rng, wd, kept = np.random.default_rng(5), u / lr, math.sqrt(1 - memory**2)
    x = rng.standard_normal((paths, d)) * 3 / d**0.5
    v, push, size, moved = np.zeros_like(x), np.zeros_like(x), 0.0, 0.0
    for k in range(steps):
        push = memory * push + kept * rng.standard_normal((paths, d)) / d**0.5
        square = (x * x).sum(axis=1, keepdims=True)
        g = (push - x * (push * x).sum(axis=1, keepdims=True) / square) / np.sqrt(square)
        pull = 0.0 if form == "sgdw" else wd
        v = momentum * v - lr * (g + pull * x)
        step = {
            "sgd": v,
            "sgdw": v - u * x,
            "nesterov": momentum * v - lr * (g + pull * x),
        }[form]
        if k >= steps // 2:
            size, moved = size + square.sum(), moved + (step * step).sum()
        x = x + step
    return moved / size / (2 * equilibrium_versine(Rule(form, lr, wd, momentum)))


def _expected(form, memory, u=5e-3, momentum=0.9):
    """The same by the stationary moments: E<v, g> = -E|g|^2 memory/(1 - mu memory) to first order in u."""
    T, s = FORMS[form].linear(u, momentum)
    shared = memory / (1 - momentum * memory)
    K = np.outer(s, s) + shared * (np.outer(T[:, 1], s) + np.outer(s, T[:, 1]))
    unit, step = stationary(T, K), T[0] - (1.0, 0.0)
    moved = step @ unit @ step + s[0] ** 2 + 2 * shared * step[1] * s[0]
    return moved / unit[0, 0] / step_square(T, np.outer(s, s))


@pytest.mark.parametrize("form", ["sgd", "sgdw", "nesterov"])
def test_a_stationary_norm_fixes_the_step_of_running_averages_alone(form):
    """Gradients that alternate, that are independent, that last."""
    for memory in (-0.5, 0.0, 0.9) if form == "nesterov" else (0.9,):
        assert _measured(form, memory) == pytest.approx(_expected(form, memory), abs=0.01)
    fixed, rule = form != "nesterov", Rule(form, 0.1, 0.05, 0.9)
    assert bool(abs(_expected(form, 0.9) - 1) < 1e-9) is fixed
    assert balances(rule) is fixed
    assert math.isfinite(displacement_ratio(rule)) is fixed


def test_lasting_gradients_lower_the_step_of_nesterov_by_what_the_documents_say():
    assert _expected("nesterov", 1 - 1e-9, u=1e-6) == pytest.approx(1 - 0.18, abs=0.005)


@pytest.mark.parametrize(("momentum", "h"), [(0.1, 0.25), (0.5, 0.25), (0.9, 0.25)])
def test_a_lasting_gradient_raises_the_step_of_the_sde_by_a_third_of_a_damped_substep(momentum, h):
    """(1-mu) h/3 to first order in h: the gradient is orthogonal to x + h v/2, where it is taken."""
    lr, u, d, paths = 0.1, 5e-3, 200, 16
    scheme = METHODS["splitting"].scheme(momentum=True)
    c = {
        k: float(v[0])
        for k, v in scheme.coefficients(np.array([lr]), np.full(1, u / lr), np.array([momentum]), h).items()
    }
    rng, size, moved = np.random.default_rng(1), 0.0, 0.0
    x, v, push = rng.standard_normal((paths, d)) * 2 / d**0.5, np.zeros((paths, d)), np.zeros((paths, d))
    for k in range(8000):
        push = 0.98 * push + math.sqrt(1 - 0.98**2) * rng.standard_normal((paths, d)) / d**0.5
        at = x + h / 2 * v
        square = (at * at).sum(axis=1, keepdims=True)
        g = (push - at * (push * at).sum(axis=1, keepdims=True) / square) / np.sqrt(square)
        step = (c["c0"] - 1) * x + c["c1"] * v - c["c4"] * g
        v = c["c2"] * x + c["c3"] * v - c["c5"] * g
        if k >= 4000:
            size, moved = size + (x * x).sum(), moved + (step * step).sum()
        x = x + step
    alone = step_square(*scheme.linear(lr, u / lr, momentum, h))
    assert moved / size / alone - 1 == pytest.approx((1 - momentum) * h / 3, rel=0.1)


def test_without_momentum_nesterov_is_sgd():
    assert displacement_ratio(Rule("nesterov", 0.1, 0.05)) == displacement_ratio(Rule("sgd", 0.1, 0.05))


DEFINED = [(name, mu) for name, m in METHODS.items() for mu in (0.0, 0.9) if not m.extras and m.scheme(mu > 0)]


@pytest.mark.parametrize(("name", "momentum"), DEFINED)
@pytest.mark.parametrize("loss", ["isotropic", "vmf"])
def test_every_linear_method_knows_its_ratio_on_every_loss(name, momentum, loss):
    run = resolve(Problem(loss, dim=8), HyperParameters(momentum=momentum), method=name, paths=1)
    assert theory.displacement_ratio(run) > 0


def test_a_method_that_is_not_balanced_has_its_ratio_for_noise_alone():
    def linear(lr, wd, momentum, h):
        T, s = recursion(lr * wd, momentum, nesterov=True)
        return T, lr**2 * np.outer(s, s)

    scheme = Scheme(step=velocity_step, coefficients=lambda *_: {}, linear=linear, slots=1)
    method = Method(name="ahead", summary="", source="", sde=False, plain=PLAIN_SGD, heavy=scheme)
    hp = HyperParameters(momentum=0.9)
    found = [theory.displacement_ratio(resolve(Problem(loss, dim=8), hp, method=method, paths=1))
             for loss in ("isotropic", "vmf")]  # fmt: skip
    assert found[0] == pytest.approx(2 * equilibrium_versine(Rule("nesterov", hp.lr, hp.wd, 0.9)))
    assert math.isnan(found[1])
    assert not balanced(*recursion(hp.intrinsic_lr, 0.9, nesterov=True))


@pytest.mark.parametrize("form", FORMS)
def test_no_rule_raises(form):
    """Of learning rates that rounding leaves above 0, of none, and of numbers that are not there."""
    for lr, wd in ((1e-14, 5e-4), (0.0, 0.1), (math.nan, 0.1), (0.1, 0.0), (1.0, 1.0), (0.1, 1e-20)):
        rule = Rule(form, lr, wd, 0.9, 0.99)
        assert not rule.usable
        assert not balances(rule)
        assert math.isnan(equilibrium_versine(rule))
        assert math.isnan(displacement_ratio(rule))
        assert relaxation(rule) == (math.inf, 1.0)


def test_lion_without_a_second_memory_has_a_law():
    """beta2 = 0: signs of b1 times the last gradient plus (1-b1) times this one; with b1 = 1/2 each two share one."""
    rule = Rule("lion", 0.01, 0.1, 0.5, 0.0)
    u, share = rule.intrinsic_lr, 2 / math.pi * math.asin(0.5)
    square = (1 + 2 * (1 - u) * share) / (1 - (1 - u) ** 2)
    assert equilibrium_norm(rule, 1) == pytest.approx(rule.lr * square**0.5, rel=1e-12)
    hp = HyperParameters(lr=0.01, wd=0.1, momentum=0.5, beta2=0.0)
    rows = theory.equilibrium(resolve(Problem("isotropic", dim=400), hp, method="lion", paths=1))
    assert rows["weight_norm"].value == pytest.approx(20 * rule.lr * square**0.5, rel=1e-12)


@pytest.mark.parametrize(
    ("momentum", "substeps", "known"), [(0.9, 4, True), (0.9, 2, False), (0.5, 4, False), (0.0, 1, True)]
)
def test_the_sde_is_judged_by_its_balance_where_that_is_known_to_half_a_tolerance(momentum, substeps, known):
    """With momentum the gradient is taken at x + h v/2, and is orthogonal to that: a lasting one adds (1-mu) h/3."""
    hp = HyperParameters(momentum=momentum)
    for loss, expected in (("isotropic", True), ("vmf", known)):
        run = resolve(Problem(loss, dim=8), hp, method="splitting", paths=1, substeps=substeps)
        assert math.isfinite(theory.displacement_ratio(run)) is expected


def test_what_the_angle_of_a_step_assumes():
    said = {form: assumes(Rule(form, 0.1, 1e-3, 0.9, 0.99)) for form in (*FORMS, "RMSprop")}
    assert said["sgd"] == said["sgdw"] == "stationary norm; any scale-invariant loss"
    assert said["nesterov"] == "stationary norm; gradients that are independent from step to step"
    assert said["adamw"] == said["lion"] == said["adam"]
    assert "of steady size" in said["adamw"]
    assert said["RMSprop"] == ""


def test_options_without_a_law_are_not_taken_for_the_plain_rule():
    pytest.importorskip("torch")
    from sde_si.monitor.optimizers import rule_of

    plain = {"lr": 0.1, "weight_decay": 0.01, "betas": (0.9, 0.99), "caution": False, "corrected_weight_decay": False}
    assert rule_of("adamw", plain) == Rule("adamw", 0.1, 0.01, 0.9, 0.99)
    for name in ("caution", "corrected_weight_decay"):
        assert rule_of("adamw", plain | {name: True}) == Rule(f"adamw with {name}", 0.1, 0.01, 0.9, 0.99)
    assert (
        rule_of("sgd", {"lr": 0.1, "weight_decay": 0.01, "momentum": 0.9, "corrected_weight_decay": True}).law is None
    )
