"""Transfer: settings for another size of data or minibatch, and what they do, by independent formulae."""

from __future__ import annotations

import json
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tuned import FROM, TUNED

from sde_si import BadInput, HyperParameters
from sde_si.theory import lr_drop_angle, lr_drop_steps, temperature
from sde_si.tune import explain, transfer
from sde_si.tune.cli import main

FIVE = ("N", "B", "lr", "wd", "momentum")


def factor(hp, decoupled=False):
    """N lr wd/(B (1 - mu)), written out."""
    return hp.N * hp.lr * hp.wd / (hp.B * (1.0 if decoupled else 1 - hp.momentum))


def lag_cosine(n, u, mu):
    """theory.md 9.2 by powers of a matrix instead of its recursion."""
    step = np.array([[1 + mu - u, -mu], [1, 0]])
    return float((np.linalg.matrix_power(step, n - 1) @ [1 - u / (1 + mu), 1])[0])


def test_the_example_of_the_manual():
    found = transfer(TUNED, N=12_500, B=128)
    wd, lr, both = (found[name].hyperparameters for name in ("wd", "lr", "both"))
    assert (wd.lr, lr.wd) == (0.1, 1e-4)
    assert (wd.wd, lr.lr) == (pytest.approx(2e-4, rel=1e-12), pytest.approx(0.2, rel=1e-12))
    assert (both.lr, both.wd) == (pytest.approx(0.1 * 2**0.5, rel=1e-12), pytest.approx(1e-4 * 2**0.5, rel=1e-12))
    assert not found.kept
    assert found.off == pytest.approx(0.5)


def test_effects_are_those_of_independent_formulae():
    hp = (found := transfer(TUNED, N=12_500, B=128))["lr"].hyperparameters
    effects = found["lr"].effects
    u, n, mu = hp.lr * hp.wd, hp.N // hp.B, 0.9
    expected = {
        "tuning_factor": 12_500 * 0.2 * 1e-4 / (128 * 0.1),
        "angle_step": math.acos(1 - u / 1.9),
        "angle_epoch": math.acos(lag_cosine(n, u, mu)),
        # the slowest eigenvalue of the three moments (theory.md 9.4)
        "time_to_equilibrium": -1 / math.log(max(np.roots([1, -(1.9 - 4 * u + 2 * u * u / 1.9), 0.9]))) / n,
    }
    for name, value in expected.items():
        assert effects[name].after.predicted == pytest.approx(value, rel=2e-7), name
        assert not effects[name].relative
    square = [math.sqrt(a.lr / (a.B * a.wd * 0.1 * (2 - a.lr * a.wd / 1.9))) for a in (TUNED, hp)]
    assert effects["weight_norm"].ratio == pytest.approx(math.sqrt(square[1] / square[0]), rel=1e-9)
    assert effects["effective_lr"].ratio == pytest.approx(hp.lr / square[1] / (0.1 / square[0]), rel=1e-9)
    assert effects["temperature"].ratio == pytest.approx(2.0)  # N^(-1/2)
    assert effects["signal_to_noise"].ratio == pytest.approx(0.5)
    assert all(effects[name].relative for name in ("weight_norm", "effective_lr", "temperature", "signal_to_noise"))


@pytest.mark.parametrize("optimizer", ["sgd", "sgdw", "adamw", "lion"])
def test_an_epoch_of_many_steps_takes_no_memory(optimizer):
    """No formula lays out the steps of an epoch: one number of each would be 400 MB."""
    transfer(TUNED, optimizer=optimizer, N=12_500)  # what is compiled or loaded once
    tracemalloc.start()
    found = transfer(TUNED, optimizer=optimizer, N=49_999_999, B=1)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1e6  # bytes
    assert found.options
    for option in found.options:
        # so many steps that the law of an epoch is exp(-T)
        T = option.effects["tuning_factor"].after.predicted
        angle = option.effects["angle_epoch"].after.predicted
        assert angle == pytest.approx(math.acos(math.exp(-T)), rel=1e-4)


def test_cells_of_yun_et_al():
    """theory.md 10.13: the yellow cells of Tables 1, 3, 5, and of EfficientNet on ImageNet."""
    base = HyperParameters(N=50_000, B=128, lr=0.1, wd=2e-4, momentum=0.9)
    for N, wd in ((3125, 0.0032), (6250, 0.0016), (12_500, 0.0008), (25_000, 0.0004)):
        assert transfer(base, N=N)["wd"].hyperparameters.wd == pytest.approx(wd)
    for B, wd in ((2048, 0.0032), (1024, 0.0016), (512, 0.0008), (256, 0.0004)):
        assert transfer(base, B=B)["wd"].hyperparameters.wd == pytest.approx(wd)
    for N, B in ((3125, 64), (6250, 128), (12_500, 256), (25_000, 512), (50_000, 1024)):
        assert transfer(base, N=N, lr=0.1, wd=0.0016).options[-1].hyperparameters.B == B  # or kept as it is
    small = HyperParameters(N=80_000, B=512, lr=0.1, wd=0.0016, momentum=0.9)
    assert transfer(small, N=1_280_000)["wd"].hyperparameters.wd == pytest.approx(1e-4)


@pytest.mark.parametrize("optimizer", ["sgd", "sgdw", "adamw", "lion"])
@given(
    hp=st.builds(
        HyperParameters,
        N=st.integers(1000, 10**6),
        B=st.integers(1, 512),
        lr=st.floats(1e-4, 1),
        wd=st.floats(1e-5, 1e-2),
        momentum=st.sampled_from([0.0, 0.5, 0.9, 0.99]),
    ),
    N=st.none() | st.integers(1000, 10**6),
    B=st.none() | st.integers(1, 512),
    lr=st.none() | st.floats(1e-4, 1),
    momentum=st.none() | st.sampled_from([0.0, 0.8, 0.95]),
)
def test_every_option_keeps_the_tuning_factor(optimizer, hp, N, B, lr, momentum):
    given_ = {k: v for k, v in {"N": N, "B": B, "lr": lr, "momentum": momentum}.items() if v is not None}
    if not given_ or (optimizer in ("adamw", "lion") and (hp.momentum == 0 or hp.N > 10**5)):
        return
    found, decoupled = transfer(hp, optimizer=optimizer, **given_), optimizer != "sgd"
    for option in found.options:
        assert factor(option.hyperparameters, decoupled) == pytest.approx(factor(hp, decoupled), rel=1e-12)
        assert all(getattr(option.hyperparameters, name) == value for name, value in given_.items())
    names = {option.change for option in found.options} | found.left_out.keys()
    assert names == ({"none"} if found.kept else {"wd", "lr", "both"})


def test_time_after_a_drop_is_the_inverse_of_the_angle():
    """theory.md 6.5."""
    u = 5e-5
    for drop, within in ((10, 0.05), (3, 0.2)):
        steps = lr_drop_steps(u, drop, within)
        assert lr_drop_angle(steps, u, drop) == pytest.approx((1 - within) * math.sqrt(2 * u), rel=1e-12)
    assert lr_drop_steps(u, 1, 0.05) == lr_drop_steps(u, 0.999, 0.05) == 0
    rise = lr_drop_steps(u, 0.25, 0.05)  # from above
    assert lr_drop_angle(rise, u, 0.25) == pytest.approx(1.05 * math.sqrt(2 * u), rel=1e-12)


def test_temperature_is_that_of_the_fixed_effective_lr():
    """theory.md 8.3, 8.4: gamma sigma^2/2 with gamma = lr/R, heavy ball overdamped by 1/(1 - mu)."""
    lr, wd, mu, variance, d = 0.01, 1e-3, 0.9, 0.3, 10**6
    square = math.sqrt(lr * variance * (d - 1) / (2 * wd * (1 - mu)))
    direct = lr / (1 - mu) / square * variance / 2
    assert temperature(lr * wd, mu, variance=variance) / math.sqrt(d - 1) == pytest.approx(direct, rel=1e-12)


def test_a_target_that_fixes_all_is_judged():
    kept = transfer(TUNED, N=25_000, B=128, lr=0.1, wd=1e-4, momentum=0.9)
    assert kept.kept
    assert [option.change for option in kept.options] == ["none"]
    off = transfer(TUNED, N=25_000, B=256, lr=0.1, wd=1e-4, momentum=0.9)
    assert not off.options
    assert off.off == pytest.approx(0.5)
    assert off.left_out.keys() == {"wd", "lr", "both", "momentum", "B"}
    assert any("0.5 times" in line for line in off.lines())


def test_lr_given_leaves_wd_alone():
    found = transfer(TUNED, N=12_500, lr=0.2)
    assert [option.change for option in found.options] == ["wd"]
    assert found.left_out == {"lr": "lr is given", "both": "lr is given"}
    assert found["wd"].hyperparameters.wd == pytest.approx(2e-4)
    with pytest.raises(KeyError, match="lr is given"):
        found["lr"]


def test_decoupled_decay_knows_no_momentum():
    """sgd shrinks lr wd with 1 - mu, sgdw does not (theory.md 9.5)."""
    assert transfer(TUNED, momentum=0.8)["wd"].hyperparameters.wd == pytest.approx(2e-4)
    assert transfer(TUNED, optimizer="sgdw", momentum=0.8).kept
    adamw = HyperParameters(N=50_000, B=256, lr=1e-3, wd=0.1)
    found = transfer(adamw, optimizer="adamw", N=12_500)["lr"]
    assert found.effects["tuning_factor"].after.predicted == pytest.approx(50_000 * 1e-4 / 256)
    assert found.effects["correlation_time"].after.predicted == pytest.approx(256 / (1e-3 * 0.1 * 50_000))
    assert found.effects["angle_step"].after.predicted == pytest.approx(math.sqrt(2 * 4e-4 * 0.1 / 1.9), rel=2e-3)


@pytest.mark.parametrize("optimizer", ["adamw", "lion"])
def test_adaptive_optimizers_have_a_relative_update(optimizer):
    """Their update does not shrink with |x|: lr/|x| decides the angle, lr/|x|^2 nothing."""
    hp = HyperParameters(N=50_000, B=256, lr=1e-3, wd=0.1, epochs=4)
    found = transfer(hp, optimizer=optimizer, N=12_500)
    effects = found["lr"].effects
    assert "effective_lr" not in effects
    assert "temperature" not in effects
    # four times lr turns the weights twice as far a step
    order = 4e-3 * hp.wd * 100  # lr wd over the longest memory, 1/(1 - 0.99) of Lion: what first order leaves out
    assert effects["relative_update"].ratio == pytest.approx(effects["angle_step"].ratio, rel=order)
    assert effects["relative_update"].ratio == pytest.approx(2, rel=order)
    assert any("temperature left out" in line and optimizer in line for line in found.lines())
    course = explain(hp, optimizer=optimizer)
    assert (
        tuple(course.course)
        == tuple(course.equilibrium)
        == ("angle_epoch", "angle_step", "weight_norm", "relative_update")
    )
    assert course.equilibrium["relative_update"] == pytest.approx(1.0)
    labels = [axis.get_ylabel() for axis in course.figure().axes]
    assert any("relative update" in label for label in labels)
    assert not any("effective LR" in label for label in labels)
    assert "effective_lr" in transfer(TUNED, N=12_500)["lr"].effects


def test_json_of_a_transfer(capsys):
    assert main(["transfer", "--from", FROM, "--to", "N=12500,B=128", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [option["change"] for option in found["options"]] == ["wd", "lr", "both"]
    for option in found["options"]:
        assert option.keys() == {"change", "hyperparameters", "effects", "warnings"}
        assert tuple(option["hyperparameters"]) == FIVE
        hp = option["hyperparameters"]
        kept = hp["N"] * hp["lr"] * hp["wd"] / (hp["B"] * (1 - hp["momentum"]))
        assert kept == pytest.approx(found["tuning_factor"], rel=1e-12)
        assert {"before", "after", "ratio", "source"} <= option["effects"]["angle_epoch"].keys()
        assert all(one.keys() == {"kind", "text", "number", "limit"} for one in option["warnings"])
    assert found["kept"] is False


def test_the_table_of_a_transfer(capsys):
    assert main(["transfer", "--from", FROM, "--to", "N=12500,B=128"]) == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("change wd", "0.0002", "change lr", "square root", "0.141421356237", "[deg]"))
    assert "warning: the temperature of the direction changes by 2" in text


def test_refusals_from_python():
    with pytest.raises(BadInput, match="target"):
        transfer(TUNED)
    with pytest.raises(BadInput, match="target"):
        transfer(TUNED, samples=3)
    with pytest.raises(BadInput, match="wd"):
        transfer(TUNED.replace(wd=0.0), N=100)


def test_a_momentum_that_rounding_leaves_is_zero():
    tuned = HyperParameters(N=50_000, B=256, lr=0.1, wd=1e-4, momentum=0.9)
    found = transfer(tuned, N=50_000, B=256, lr=0.1, wd=1e-3)
    assert found["momentum"].hyperparameters.momentum == 0
    assert transfer(tuned, lr=0.1, wd=9e-4)["momentum"].hyperparameters.momentum == pytest.approx(0.1)
