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
from sde_si.theory.linear import balanced, recursion
from sde_si.theory.optimizers import balances, displacement_ratio, equilibrium_norm, equilibrium_versine, table_rate
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


@pytest.mark.parametrize(("form", "lasting"), [("sgd", 1.0), ("sgdw", 1.0), ("nesterov", 0.84)])
def test_a_stationary_norm_fixes_the_step_of_running_averages_alone(form, lasting):
    assert _measured(form, 0.0) == pytest.approx(1, abs=0.01)
    assert _measured(form, 0.9) == pytest.approx(lasting, abs=0.02)
    rule = Rule(form, 0.1, 0.05, 0.9)
    assert balances(rule) is (lasting == 1)
    assert math.isfinite(displacement_ratio(rule)) is (lasting == 1)


def test_without_momentum_nesterov_is_sgd():
    assert displacement_ratio(Rule("nesterov", 0.1, 0.05)) == displacement_ratio(Rule("sgd", 0.1, 0.05))


@pytest.mark.parametrize("name", [name for name, m in METHODS.items() if not m.extras])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("loss", ["isotropic", "vmf"])
def test_every_linear_method_knows_its_ratio_on_every_loss(name, momentum, loss):
    if METHODS[name].scheme(momentum > 0) is None:
        pytest.skip("not defined")
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
