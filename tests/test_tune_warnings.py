"""Warnings of a transfer: each carries its numbers, none comes without a reason."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tuned import TUNED

from sde_si import HyperParameters
from sde_si.tune import transfer
from sde_si.tune.change import CAUTIONS
from sde_si.tune.cli import main
from sde_si.tune.effects import Gradients, signal_growth


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
    # linear scaling: a sample moves the weights as before, a step eight times as far
    assert "a step is 7.812 times as long" in said["start"].text
    assert "lr/(B" not in said["start"].text
    assert kinds(found["wd"])["start"].number == pytest.approx(128 / 1000)
    assert "lr/(B (1 - momentum)) is 0.128 times as large" in kinds(found["wd"])["start"].text
    assert "start" not in kinds(transfer(base, N=12_500)["wd"])
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
    quiet = transfer(base, N=102_400, signal=1e-3, noise_trace=1.0, epochs=300)
    assert {one.kind for one in quiet["wd"].warnings} == {"temperature"}
    # a batch twice as large, so little signal that noise dominates: no word of noise
    doubled = transfer(base, N=102_400, B=256, signal=1e-3, noise_trace=1.0, epochs=300)
    assert {one.kind for one in doubled["none"].warnings} == {"temperature", "start"}
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


def test_phases_that_are_too_short_are_counted():
    tuned = HyperParameters(N=50_000, B=256, lr=0.1, wd=1e-4, momentum=0.9)
    ends = {"constant": "", "multi-step:30,60": ", nor in 1 other phase"}
    ends["multi-step:30,50,70"] = ", nor in 2 other phases"
    for schedule, said in ends.items():
        epochs = 10 if schedule == "constant" else 90
        option = transfer(tuned, N=50_000, B=2048, epochs=epochs, schedule=schedule).options[0]
        [text] = [one.text for one in option.warnings if one.kind == "transient"]
        assert f"not reached there{said} (" in text


def test_momentum_traded_for_lr_moves_the_weights_as_before():
    """lr/(1 - momentum) is what counts before equilibrium (theory.md 9.4)."""
    found = transfer(TUNED, momentum=0.0)
    assert "start" not in kinds(found["lr"])
    assert kinds(found["wd"])["start"].number == pytest.approx(0.1)


def test_decay_of_the_adamw_paper_is_lr_times_that_of_torch():
    """theory.md 7.5: decay a step is lr wd with torch, and wd itself in the paper; both keep N decay/B."""
    torch_wd = 0.1
    source = HyperParameters(N=50_000, B=128, lr=1e-3, wd=torch_wd, momentum=0.9)
    for way in ("wd", "lr", "both"):
        found = transfer(source, optimizer="adamw", B=256, epochs=90)[way]
        scale = found.hyperparameters.lr / source.lr
        if scale == 1:
            assert "decay" not in kinds(found)
            continue
        assert f"multiply the new wd by the {scale:.4g}" in kinds(found)["decay"].text
        # the decay of a step must double with the batch, in either form
        assert scale * found.hyperparameters.wd / torch_wd == pytest.approx(2)


def test_adaptive_methods_are_told_nothing_of_the_length_that_gradients_make():
    source = HyperParameters(N=50_000, B=128, lr=1e-3, wd=0.1, momentum=0.9)
    found = transfer(source, optimizer="adamw", B=1024, signal=0.2, noise_trace=1.0, epochs=10)["wd"]
    assert "E|x|^2" not in kinds(found)["noise"].text
    assert kinds(found)["noise"].limit == pytest.approx(6)
    assert "1/(2T)" in kinds(found)["transient"].text


def test_the_schedule_of_the_source_goes_along():
    source = TUNED.replace(epochs=300, schedule="multi-step:150,225")
    assert transfer(source, N=12_500)["wd"].hyperparameters.schedule == "multi-step:150,225"
    assert transfer(source, N=12_500, schedule="cosine")["wd"].hyperparameters.schedule == "cosine"
    assert "transient" in kinds(transfer(source, N=12_500)["wd"])
