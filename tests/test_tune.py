"""Transfer and explanation: golden numbers by independent formulae, wrong input, JSON, start-up."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sde_si import SCHEDULES, BadInput, HyperParameters
from sde_si.schedules import Timetable
from sde_si.theory import decoupled_lag_cosines, lag_cosines, lr_drop_angle, lr_drop_steps, temperature
from sde_si.tune import explain, transfer
from sde_si.tune.advice import _law
from sde_si.tune.cautions import CAUTIONS
from sde_si.tune.cli import ACTIONS, main
from sde_si.tune.effects import Gradients, signal_growth
from sde_si.tune.phases import way
from sde_si.tune.ramp_reading import read

TUNED = HyperParameters(N=50_000, B=256, lr=0.1, wd=1e-4, momentum=0.9)
FROM = "N=50000,B=256,lr=0.1,wd=1e-4,momentum=0.9"
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
def test_an_epoch_of_many_steps_takes_no_longer(optimizer):
    """No formula runs through the steps of an epoch."""
    transfer(TUNED, optimizer=optimizer, N=12_500)  # what is compiled or loaded once
    begin = time.process_time()
    found = transfer(TUNED, optimizer=optimizer, N=49_999_999, B=1)
    assert time.process_time() - begin < 1
    for option in found.options:
        # so many steps that the law of an epoch is exp(-T)
        T = option.effects["tuning_factor"].after.predicted
        angle = option.effects["angle_epoch"].after.predicted
        assert angle == pytest.approx(math.acos(math.exp(-T)), rel=1e-4)


@pytest.mark.parametrize("decoupled", [False, True])
def test_the_law_of_an_epoch_for_advice(decoupled):
    """By a power of the matrix, as by the recursion over all lags."""
    hp, n = HyperParameters(N=39_000, B=100, lr=0.1, wd=2e-3, momentum=0.9), 390
    found = SimpleNamespace(method="sgdw" if decoupled else "sgd", lr=hp.lr, wd=hp.wd, momentum=0.9, steps_per_epoch=n)
    cosines = (decoupled_lag_cosines if decoupled else lag_cosines)(n, 2e-4, 0.9)
    assert _law(found, 2e-3) == pytest.approx(-math.log(cosines[-1]), rel=1e-9)
    begin = time.process_time()
    long = SimpleNamespace(**{**vars(found), "steps_per_epoch": 50_000_000})
    assert _law(long, 1e-9) > 0
    assert time.process_time() - begin < 1


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
    assert lr_drop_steps(u, 1, 0.05) == 0


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


def kinds(option):
    return {one.kind: one for one in option.warnings}


def test_warnings_carry_their_numbers():
    base = HyperParameters(N=50_000, B=128, lr=0.1, wd=2e-4, momentum=0.9)
    found = transfer(base, B=1000, signal=0.2, noise_trace=1.0, epochs=300, schedule="multi-step:150,225")
    said = kinds(found["lr"])
    assert said["transient"].number == pytest.approx(320, rel=2e-3)  # 1/(4T) of the last phase
    assert said["transient"].limit == 75
    assert "226-300" in said["transient"].text
    assert said["noise"].number == pytest.approx(1000 / 128)
    assert said["noise"].limit == pytest.approx(1.1**2 + (1.1**2 - 1) * 5 / 19)  # momentum 0.9: G counts up to 19 times
    assert "1 + tau/(c G) = 1.26 to 6" in said["noise"].text
    plain = kinds(transfer(base.replace(momentum=0.0), B=1000, signal=0.2, noise_trace=1.0)["wd"])["noise"]
    assert plain.limit == pytest.approx(1.1**2 + (1.1**2 - 1) * 5)
    assert "1 + tau/G = 6 " in plain.text
    assert said["momentum-form"].number == pytest.approx(10)
    assert said["start"].number == pytest.approx(1000 / 128)
    assert said["decay"].number == pytest.approx(0.1)
    assert "temperature" not in said
    assert "start" not in kinds(found["wd"])
    assert kinds(transfer(base, N=12_500)["wd"])["temperature"].number == pytest.approx(2)
    assert kinds(transfer(base, N=1000, B=300)["wd"])["steps"].number == pytest.approx(3 / (1000 / 300), rel=2e-3)
    assert kinds(transfer(base, N=1000, B=512)["wd"])["step-size"].number > 0


@pytest.mark.parametrize(
    ("momentum", "persists", "expected"), [(0.9, True, 2.04), (0.9, False, 1.08), (0.0, True, 1.08)]
)
def test_a_mean_gradient_counts_by_its_persistence(momentum, persists, expected):
    """The simulated SGDM of tangential gradients: a rotating mean gradient of G/tau = 1/6, against noise alone."""
    assert signal_growth(TUNED.replace(momentum=momentum), "sgd", Gradients(B=256, signal=0.5, noise_trace=3.0))[
        persists
    ] == pytest.approx(expected, abs=0.005)
    rng, d, lr, wd = np.random.default_rng(5), 400, 0.05, 0.02
    squares = []
    for G in (0.0, 1 / 6):
        x, v, seen = np.zeros(d), np.zeros(d), []
        x[0] = (lr / (2 * wd * (1 - momentum))) ** 0.25
        for k in range(12_000):
            radius = math.sqrt(x @ x)
            g = rng.standard_normal(d) / math.sqrt(d)
            if persists:  # planes in which the mean gradient turns x, as in theory.md 1.10
                g += math.sqrt(G) * np.concatenate([-x[1::2], x[::2]]).reshape(2, -1).T.ravel() / radius
            else:
                g += math.sqrt(G) * rng.choice([-1, 1]) * np.stack([-x[1::2], x[::2]], 1).ravel() / radius
            g -= (g @ x) * x / radius**2
            v = momentum * v - lr * (g / radius + wd * x)
            x = x + v
            if k > 4000:
                seen.append(x @ x)
        squares.append(np.mean(seen))
    assert squares[1] / squares[0] == pytest.approx(expected, rel=0.04)


def test_the_noise_warning_knows_momentum():
    said = kinds(transfer(TUNED, B=1000, signal=0.5, noise_trace=3.0)["wd"])["noise"]
    edge = 1.21 + 0.21 * 6 / 19
    assert said.limit == pytest.approx(edge)
    c = 19 / 6
    assert math.sqrt((1 + edge * c) / (1 + c)) == pytest.approx(1.1)  # there E|x|^2 is 10 % off
    assert "1.28 to 2.47" in said.text
    assert "persists" in said.text
    assert "noise" in kinds(
        transfer(TUNED, B=384, signal=0.5, noise_trace=3.0)["wd"]
    )  # below the square-root rule's edge
    lines = transfer(TUNED, B=512, signal=0.5, noise_trace=3.0).lines()
    assert any("before: noise alone; the mean gradient makes |x|^2 1.08 to 2.041 times" in line for line in lines)


def test_no_warning_without_a_reason():
    base = HyperParameters(N=51_200, B=128, lr=0.1, wd=2e-4, momentum=0.0)
    quiet = transfer(base, N=102_400, B=256, signal=1e-3, noise_trace=1.0, epochs=300)
    assert {one.kind for one in quiet.options[0].warnings} == {"temperature"}
    assert CAUTIONS.keys() >= {"transient", "noise", "temperature", "decay", "steps", "step-size", "momentum-form"}


@pytest.mark.parametrize(
    ("optimizer", "base", "to", "epochs", "relaxation"),
    [
        ("adamw", TUNED.replace(lr=1e-3, wd=0.1), {"N": 12_500, "B": 512}, 10, "98.47"),
        ("sgd", TUNED, {"N": 12_500, "B": 128}, 20, "12.81"),
        ("sgd", TUNED, {"N": 12_500, "B": 128}, 400, "12.79"),  # the end of a cosine is always too fast
    ],
)
def test_a_schedule_that_falls_all_the_time_is_held_against_the_relaxation(optimizer, base, to, epochs, relaxation):
    found = transfer(base, optimizer=optimizer, **to, epochs=epochs, schedule="cosine")
    said = kinds(found["wd"])["transient"]
    assert f"last {epochs} epochs" in said.text
    assert f"needs {relaxation} to relax" in said.text
    assert said.number > said.limit > (0 if epochs < 400 else 90)
    assert len({kinds(one)["transient"].text for one in found.options}) == 1  # told once
    # negative controls: a warm-up before long epochs at constant lr, and without an end of lr
    for schedule in ("warm-up:2", "constant"):
        assert "transient" not in kinds(
            transfer(base, optimizer=optimizer, **to, epochs=400, schedule=schedule)["wd"])  # fmt: skip


def test_lr_wd_close_to_one():
    base = HyperParameters(N=1000, B=10, lr=0.5, wd=0.02, momentum=0.0)
    said = kinds(transfer(base, N=1000, B=200)["wd"])["step-size"]
    assert said.number == pytest.approx(0.2)
    assert "close to 1" in said.text
    # above 1 there is no such option
    none = transfer(base, N=1000, B=1000).left_out
    assert none.keys() == {"wd", "lr", "both"}


SOURCES = [
    "", "x", "N=1", "N=50000,B=256,lr=0.1,wd=1e-4", "N=50000,B=256,lr=0.1,wd=0,momentum=0.9",
    "N=50000,B=256,lr=0.1,wd=nan,momentum=0.9", "N=50000,B=256,lr=0.1,wd=20,momentum=0.9",
    "N=50000,B=256,lr=-1,wd=1e-4,momentum=0.9", "N=50000,B=256,lr=0.1,wd=1e-4,momentum=1",
    "N=50000,B=60000,lr=0.1,wd=1e-4,momentum=0.9", "N=5e4,B=256,lr=0.1,wd=1e-4,momentum=0.9",
    "N=50000,B=256,lr=0.1,wd=1e-4,momentum=0.9,N=3", "N=50000,B=256,lr=0.1,wd=1e-4,momentum=0.9,epochs=3",
]  # fmt: skip
TARGETS = ["", "x", "N", "N=", "N=x", "N=0", "N=-1", "N=1.5", "N=10", "B=0", "B=60000", "lr=0", "lr=nan", "wd=0",
           "wd=inf", "momentum=1", "momentum=-1", "Q=3", "N=100,N=200", "epochs=3"]  # fmt: skip
WRONG = [
    *(["transfer", "--from", source, "--to", "N=12500"] for source in SOURCES),
    *(["transfer", "--from", FROM, "--to", target] for target in TARGETS),
    *(
        ["transfer", "--from", FROM, "--to", "N=12500", *more]
        for more in (
            ["--optimizer", "adam"], ["--epochs", "0"], ["--schedule", "cosine"],
            ["--epochs", "9", "--schedule", "nothing"], ["--signal", "1"],
            ["--signal", "-1", "--noise-trace", "1"], ["--noise-trace", "0"], ["--beta2", "0.9"],
            ["--record", "missing.nc", "--signal", "1"], ["--unknown"],
        )
    ),
    ["transfer", "--to", "N=12500"],
    ["transfer", "--from", FROM],
    *(
        ["explain", *more]
        for more in (
            ["--lr", "nan"], ["--N", "0"], ["--B", "60000"], ["--epochs", "x"], ["--schedule", "nothing"],
            ["--schedule", "multi-step"], ["--wd", "0"], ["--optimizer", "adam"], ["--init-norm", "x"],
            ["--init-norm", "0"], ["--init-norm", "0.3"], ["--noise-trace", "0"], ["--beta2", "0.9"], ["--unknown"],
        )
    ),
    ["nothing"],
]  # fmt: skip


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_input_is_refused(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    assert code == 2
    assert not said.out
    assert said.err.strip()
    assert "Traceback" not in said.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "label", "said"),
    [
        (["lr-range", "--command", "x {lr}", "--points", "3"], "--points", "whole number >= 6"),
        (["transfer", "--from", FROM.replace("1e-4", "0"), "--to", "N=12500"], "--from", "weight decay"),
        (["transfer", "--from", FROM, "--to", "N=1e6"], "--to", "a whole number for N, got '1e6'; try N=1000000"),
        (["transfer", "--from", FROM, "--to", "N=12500", "--record", "missing.nc"], "--record", "exists"),
        (["suggest"], "RECORD", "a record, got none"),
        (["suggest", "missing.nc"], "RECORD", "exists"),
        (["suggest", __file__, "--like", "missing.nc"], "--like", "exists"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_wrong_is_called_by_its_own_name(words, label, said, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {label}: expected ")
    assert said in error


@pytest.mark.parametrize("words", [["suggest"], ["transfer", "--from", FROM, "--to", "N=12500", "--record"]])
def test_a_record_that_cannot_be_read_has_another_code(words, tmp_path):
    record = next((Path(__file__).parent.parent / "validation" / "records" / "networks").glob("*.nc")).read_bytes()
    (tmp_path / "broken.nc").write_bytes(record[: len(record) // 2])
    assert main([*words, str(tmp_path / "broken.nc")]) == 4
    (tmp_path / "notes.nc").write_text("no record")
    assert main([*words, str(tmp_path / "notes.nc")]) == 2


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


def test_the_course_of_yun_et_al():
    """theory.md 10.8: 390 discrete steps an epoch from equilibrium, by recursion 1.1."""
    u = 10 / 128 / 390
    hp = HyperParameters(N=390 * 128, B=128, lr=0.1, wd=10 * u, momentum=0.0, epochs=300, schedule="multi-step:150,225")
    found = explain(hp)
    degrees = np.degrees(found.course["angle_epoch"])
    assert degrees[[149, 150, 224, 225, 299]] == pytest.approx([22.356, 2.2804, 5.2234, 0.5250, 0.5853], abs=6e-4)
    assert np.degrees(found.equilibrium["angle_epoch"][[224, 299]]) == pytest.approx([7.15, 2.26], abs=6e-3)
    assert np.degrees(found.paper[[0, 224, 299]]) == pytest.approx([22.8, 7.2, 2.3], abs=0.04)
    assert [one.reached for one in found.stretches] == [1, None, None]
    assert [one.phase.relaxation_epochs for one in found.stretches] == pytest.approx([3.2, 32, 320], rel=2e-3)
    assert [(one.phase.first, one.phase.last) for one in found.stretches] == [(1, 150), (151, 225), (226, 300)]


def test_the_course_is_that_of_the_recursion():
    """theory.md 14.14 by its own recursion, form P, lr 0.1 then 0.01, tau = 4 and A_0 = 2."""
    lr, wd, mu, tau = 0.1, 0.1, 0.9, 4.0
    hp = HyperParameters(N=200, B=10, lr=lr, wd=wd, momentum=mu, epochs=4, schedule="multi-step:2")
    A, C, D, norms, last = 2.0, 0.0, 0.0, [], lr
    for k in range(80):
        eta = lr if k < 40 else lr / 10
        u, m, n = eta * wd, mu * eta / last, eta**2 * tau / A
        b, last = 1 - eta * wd, eta
        A, C, D = (b * b * A + 2 * b * m * C + m * m * D + n, m * (b - u) * C - b * u * A + m * m * D + n,
                   m * m * D + u * u * A - 2 * m * u * C + n)  # fmt: skip
        norms.append(math.sqrt(A))
    found = explain(hp, init_norm=math.sqrt(2), noise_trace=tau)
    assert not found.relative
    assert found.course["weight_norm"] == pytest.approx(norms[19::20], rel=1e-6)
    # negative control: the other form of momentum is visibly different after the drop
    from sde_si.theory import predict
    from sde_si.tune.effects import Gradients, run_of

    other = predict(run_of(hp, "sgd", Gradients(B=10, noise_trace=tau), str(math.sqrt(2))).replace(
        method=__import__("sde_si").METHODS["sgd"]))  # fmt: skip
    assert abs(float(other["weight_norm_predicted"][2]) / norms[59] - 1) > 1e-3


def test_the_explanation_on_the_command_line(capsys, tmp_path):
    words = ["explain", "--N", "5000", "--B", "100", "--epochs", "12", "--schedule", "warm-up:3+step:6",
             "--out", str(tmp_path)]  # fmt: skip
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "equilibrium is not reached" in text
    assert len(list(tmp_path.glob("tune-explain-*.png"))) == 1
    assert main([*words, "--json", "--no-figure"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [phase["epochs"] for phase in found["phases"]] == [[1, 3], [4, 6], [7, 12]]
    assert len(found["epochs"]["angle_epoch"]) == 12
    assert found["figure"] is None


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_every_schedule_is_explained(name, momentum):
    """Phases cover the run in order; the first epoch at constant lr is where the course begins."""
    text = name + {"step": ":4", "multi-step": ":4,8", "batch-growth": ":4"}.get(name, "")
    hp = HyperParameters(N=640, B=32, wd=5e-3, momentum=momentum, epochs=12, schedule=text)
    found = explain(hp)
    ends = [(one.phase.first, one.phase.last) for one in found.stretches]
    assert [first for first, _ in ends] == [1, *(last + 1 for _, last in ends[:-1])]
    assert ends[-1][1] == 12
    assert np.isfinite(found.course["angle_epoch"]).all()
    assert (found.course["weight_norm"] > 0).all()
    json.dumps(found.to_json(), allow_nan=False)
    json.dumps(transfer(hp, N=1280, epochs=12, schedule=text).to_json(), allow_nan=False)


def test_adaptive_methods_are_told_by_their_times():
    hp = HyperParameters(N=5000, B=100, lr=1e-3, wd=0.5, epochs=400, schedule="multi-step:250")
    found = explain(hp, optimizer="adamw")
    assert np.isnan(found.course["angle_epoch"]).all()
    assert [one.reached is None for one in found.stretches] == [False, True]


def test_an_absolute_length_needs_the_noise(capsys):
    with pytest.raises(BadInput, match=r"0\.3eq or --noise-trace"):
        explain(TUNED, init_norm=0.3)
    assert main(["explain", "--init-norm", "0.3"]) == 2
    assert "--init-norm: expected a multiple" in (said := capsys.readouterr().err)
    assert "try 0.3eq or --noise-trace 3" in said
    assert not explain(TUNED.replace(epochs=1), init_norm=0.3, noise_trace=1.0).relative


@pytest.mark.parametrize("schedule", ["cosine", "warm-up:3", "1cycle"])
def test_the_equilibrium_of_an_epoch_is_of_the_lr_that_the_papers_use(schedule):
    hp = HyperParameters(N=100_000, B=10, lr=0.1, wd=1e-5, momentum=0.5, epochs=4, schedule=schedule)
    found = explain(hp)
    # small lr wd and long epochs: the exact law and the papers' differ by T/4 and the momentum's memory only
    ideal, paper = found.equilibrium["angle_epoch"], found.paper
    assert np.all(np.abs(ideal / paper - 1) < 0.02)
    first, last = Timetable(hp).lr_and_momentum(0)[0][[0, -1]]
    assert abs(first / last - 1) > 0.05  # negative control: the last lr of the epoch would be another
    assert found.first_lr == pytest.approx(first) or first == 0


def test_relative_to_the_first_lr_that_is_used():
    hp = HyperParameters(N=5000, B=100, lr=0.1, wd=2e-3, momentum=0.9, epochs=6, schedule="warm-up:3")
    found, first = explain(hp), Timetable(hp).lr_and_momentum(0)[0]
    assert found.first_lr == pytest.approx(first[first > 0][0])
    # the norm of equilibrium goes as lr^(1/4): at full lr it is that many units long
    assert found.equilibrium["weight_norm"][-1] == pytest.approx((0.1 / found.first_lr) ** 0.25, rel=1e-3)
    assert any(f"first lr that is used, {found.first_lr:.4g}"[:30] in line for line in found.lines())
    # a start at rest: the norm dips while the momentum fills
    assert explain(hp.replace(schedule="constant")).course["weight_norm"] == pytest.approx(1.0, rel=0.01)
    assert explain(hp, init_norm="2eq").course["weight_norm"][0] < 2.0


def test_explain_warns_of_large_steps_and_late_changes():
    hp = HyperParameters(N=5000, B=100, lr=0.1, wd=5.0, epochs=4)
    said = {one.kind: one for one in explain(hp).warnings}
    assert said["step-size"].number == pytest.approx(0.5)
    assert not explain(hp.replace(wd=1e-4)).warnings
    for schedule, late in {
        "multi-step:2,4": "4",
        "step:9": "9",
        "batch-growth:4": "4",
        "warm-up:1+multi-step:3,8": "8",
    }.items():
        found = explain(hp.replace(wd=1e-4, schedule=schedule))
        assert [one.kind for one in found.warnings] == ["never"], schedule
        assert any(f"after epoch {late} never happens: the run has 4 epochs" in line for line in found.lines())
        assert found.to_json()["warnings"][0]["kind"] == "never"
    assert not explain(hp.replace(wd=1e-4, schedule="multi-step:2,3")).warnings


@pytest.mark.parametrize(
    ("optimizer", "schedule", "epochs", "numbers"),
    [
        ("sgd", "warm-up:5+cosine", 30, ["last 30 epochs", "needs 3.462", "with 11 left", "% of it"]),
        ("adamw", "cosine", 20, ["last 20 epochs", "needs 66.9 "]),
    ],
)
def test_explain_says_where_the_norm_no_longer_follows(optimizer, schedule, epochs, numbers):
    hp = HyperParameters(N=50_000, B=128, lr=0.1, wd=2e-4, momentum=0.9, epochs=epochs, schedule=schedule)
    said = " ".join(line for line in explain(hp, optimizer=optimizer).lines() if "equilibrium is not reached" in line)
    assert all(one in said for one in numbers)
    # negative control: a warm-up is no place to come to equilibrium, if a phase at constant lr follows
    lines = explain(hp.replace(epochs=60, schedule="warm-up:5")).lines()
    assert not any("equilibrium is not reached" in line for line in lines)


def test_explain_names_the_velocity_where_it_is_the_cause():
    hp = HyperParameters(N=1000, B=300, lr=0.1, wd=5e-4, momentum=0.9, epochs=3)
    found = explain(hp)
    [said] = [line for line in found.lines() if "equilibrium is not reached" in line]
    assert "velocity starts from zero" in said
    assert "= 10 steps, the phase has 9;" in said
    assert "163" not in said
    assert found.stretches[0].norm == pytest.approx(1, abs=2e-3)
    assert {one.kind: one.number for one in found.warnings} == {"steps": pytest.approx(0.9)}
    # negative control: a norm that is off is still named
    [other] = [line for line in explain(hp, init_norm="3eq").lines() if "equilibrium is not reached" in line]
    assert "the norm needs 163" in other


def test_effective_lr_is_that_of_the_mean_lr():
    hp = HyperParameters(N=50_000, B=128, lr=0.1, wd=2e-4, momentum=0.9, epochs=30, schedule="cosine")
    found, table = explain(hp, init_norm=1.0, noise_trace=1.0), Timetable(hp)
    means = np.array([table.lr_and_momentum(e)[0].mean() for e in range(30)])
    assert found.course["effective_lr"] == pytest.approx(means / found.course["weight_norm"] ** 2)
    # at equilibrium, too: only the norm differs
    both = found.course["effective_lr"] / found.equilibrium["effective_lr"]
    norms = found.equilibrium["weight_norm"] / found.course["weight_norm"]
    assert both == pytest.approx(norms**2, rel=1e-6)


def test_the_table_of_phases_shows_the_peak():
    assert way([1, 3, 2]) == (1, 3, 2)
    assert way([2, 1, 3]) == (2, 1, 3)
    assert way([3, 2, 1]) == (3, 1)
    assert way([1]) == (1, 1)
    hp = HyperParameters(N=50_000, B=128, lr=0.1, wd=2e-4, momentum=0.9, epochs=30, schedule="warm-up:5+cosine")
    [one] = explain(hp).stretches
    for values in (one.phase.lrs, one.angles, one.equilibrium):
        first, top, last = values
        assert top > 1.5 * max(first, last)
    top = max(Timetable(hp).lr_and_momentum(e)[0].max() for e in range(30))
    assert one.to_json()["lr_largest"] == one.phase.lrs[1] == pytest.approx(top)


def test_the_figure_of_an_adaptive_optimizer_fits():
    hp = HyperParameters(N=50_000, B=128, lr=0.1, wd=2e-4, momentum=0.9, epochs=4, schedule="cosine")
    figure = explain(hp, optimizer="adamw").figure()
    figure.savefig(io.BytesIO(), format="png")
    assert figure.get_suptitle().startswith("adamw  ")
    for axis in figure.axes:
        label = axis.yaxis.label.get_window_extent()
        assert label.height <= axis.get_window_extent().height


def test_wording(capsys):
    text = kinds(transfer(TUNED, momentum=0.0)["wd"])["decay"].text
    assert "not 0.0195" not in text
    assert "1 times as long" not in text
    assert "by 0.1:" in text or "by 10:" in text
    assert any("with N/B; the other rows are exact, with N // B" in line for line in transfer(TUNED, N=12_500).lines())
    words = ["explain", "--optimizer", "adamw", "--lr", "1e-3", "--wd", "0.1", "--epochs", "6", "--schedule", "step:3"]
    assert main([*words, "--no-figure"]) == 0
    said = capsys.readouterr().out
    assert "no table of epochs" in said
    assert "- .. -" not in said
    assert not any(line.split()[1:] == ["-"] * 5 for line in said.splitlines())


def test_a_range_that_is_not_smoothed_says_so():
    lr = np.geomspace(1e-4, 1, 12)
    for smoothing, label in ((0.0, "not smoothed"), (0.5, "smoothed by 0.5")):
        found = read(lr, (np.log10(lr) + 2) ** 2, ramp="exponential", smoothing=smoothing)
        labels = found.figure().axes[0].get_legend_handles_labels()[1]
        assert label in labels


LIGHT = """
import sys, time
begin = time.perf_counter()
try:
    from sde_si.tune.cli import main
    code = main({argv!r})
except SystemExit as stop:
    code = stop.code
heavy = {{"xarray", "pandas", "scipy", "matplotlib", "torch", "numba", "optuna"}}
loaded = {{name.partition(".")[0] for name in sys.modules}} & heavy
print("CODE", code, sorted(loaded), time.process_time(), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "argv",
    [
        *([action, "--help"] for action in ACTIONS),
        ["--help"],
        ["transfer", "--from", FROM, "--to", "N=x"],
        ["explain", "--lr", "nan"],
        ["suggest", "missing.nc"],
        ["search", "--function", "nan.py:x", "--N", "512", "--full-N", "1"],
        ["lr-range", "--command", "nan"],
        ["transfer", "--from", FROM, "--to", "N=12500", "--json"],
    ],
    ids=" ".join,
)
def test_light_answers_load_nothing_heavy(argv):
    done = subprocess.run([sys.executable, "-c", LIGHT.format(argv=argv)], capture_output=True, text=True, check=False)
    refused = not {"--help", "--json"} & set(argv)
    assert f"CODE {2 if refused else 0} []" in done.stderr
    assert float(done.stderr.split()[-1]) < 0.7  # seconds of processor time


def test_importing_the_room_loads_nothing_heavy():
    code = "import sde_si.tune, sys; print([m for m in ('torch', 'matplotlib', 'xarray', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_refusals_from_python():
    with pytest.raises(BadInput, match="target"):
        transfer(TUNED)
    with pytest.raises(BadInput, match="target"):
        transfer(TUNED, samples=3)
    with pytest.raises(BadInput, match="wd"):
        transfer(TUNED.replace(wd=0.0), N=100)
