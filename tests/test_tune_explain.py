"""Explanation of a course: equilibria, phases, warnings, the figure."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
from tuned import TUNED

from sde_si import SCHEDULES, BadInput, HyperParameters
from sde_si.schedules import Timetable
from sde_si.tune import explain, transfer
from sde_si.tune.cli import main
from sde_si.tune.phases import way


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


def test_json_of_an_explanation_has_the_warnings_of_the_text(capsys, tmp_path):
    words = ["explain", "--N", "50000", "--B", "128", "--wd", "2e-4", "--epochs", "300", "--no-figure"]
    words += ["--schedule", "multi-step:150,225", "--out", str(tmp_path)]
    assert main(words) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["warnings"]
    assert [f"warning: {one['text']}" for one in told] == said
    assert [one["kind"] for one in told] == ["equilibrium"] * 2
    assert (told[1]["number"], told[1]["limit"]) == pytest.approx((0.258, 0.98), abs=1e-3)
    # negative control: a phase that is long enough is not warned of
    hp = HyperParameters(N=50_000, B=128, lr=0.1, wd=2e-4, momentum=0.9, epochs=300)
    assert not explain(hp).to_json()["warnings"]
    # AdamW has no angle under a schedule; without decay the time is infinite, which JSON does not know
    [one] = explain(hp.replace(epochs=20, schedule="cosine"), optimizer="adamw").to_json()["warnings"]
    assert (one["kind"], one["limit"]) == ("transient", 20)
    free = explain(hp.replace(wd=0.0, epochs=5), init_norm=10.0, noise_trace=3.0)
    assert json.dumps(free.to_json(), allow_nan=False)
