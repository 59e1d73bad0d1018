"""AngularMonitor in loops that are not tidy: frozen layers, short runs, schedules, ends without a flush."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from noise_model import Noise, train  # noqa: E402

from sde_si.errors import BadInput  # noqa: E402
from sde_si.monitor import AngularMonitor  # noqa: E402


def kinds(monitor):
    return [notice.kind for notice in monitor.notices()]


@pytest.mark.parametrize("frozen_at", [0, 300])
@pytest.mark.parametrize("wd", [0.0, 1e-2])
def test_a_frozen_layer(frozen_at, wd, tmp_path):
    """It costs nothing but a note, and the groups that move are read as without it."""
    model = Noise(50, 60)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=wd)
    options = {"groups": ["weights.0", "weights.1"], "every": 2, "log": tmp_path / "log", "quiet": True}
    monitor = AngularMonitor(model, optimizer, **options)
    train(model, optimizer, frozen_at)
    model.weights[1].requires_grad_(False)
    train(model, optimizer, 300)
    one, two, _ = monitor.readings()
    assert (one.frozen, two.frozen) == (False, True)
    assert two.angle_step == 0
    assert "frozen" in two.why
    assert one.angle_step > 0
    assert "frozen" in kinds(monitor)
    assert not monitor._windows.failures
    assert "frozen" in str(monitor.summary())
    model.weights[1].requires_grad_(True)
    train(model, optimizer, 40)
    assert not monitor.readings()[1].frozen
    assert "frozen" not in kinds(monitor)


def test_a_monitor_never_raises_within_a_step():
    model = Noise(30)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)

    def sink(values, step):
        raise RuntimeError("the sink is gone")

    monitor = AngularMonitor(model, optimizer, groups=["weights.0"], flush_every=5, sinks=[sink], quiet=True)
    train(model, optimizer, 300)
    assert monitor.step == 300
    assert "failure" in kinds(monitor)
    assert "the sink is gone" in str(monitor.summary())


def test_a_short_run_is_read_without_its_transient(one_thread):
    """Far from equilibrium the angle is that of the last relaxation time, not of the start; else there is none."""
    model = Noise(500)
    with torch.no_grad():
        model.weights[0].mul_(3.0)  # far too short: the angle starts many times too large
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=2e-3)
    trail = [model.weights[0].detach().double().clone()]
    monitor = AngularMonitor(model, optimizer, groups=["weights.0"], quiet=True)
    train(model, optimizer, 60, each=lambda _: trail.append(model.weights[0].detach().double().clone()))
    [early] = monitor.readings()
    assert math.isnan(early.ratio)
    assert "records" in early.why
    train(model, optimizer, 240, seed=1, each=lambda _: trail.append(model.weights[0].detach().double().clone()))
    [reading] = monitor.readings()
    units = torch.stack([w / w.norm() for w in trail])
    angles = 2 * np.arcsin((units[1:] - units[:-1]).norm(dim=1).numpy() / 2)
    last = math.sqrt(np.mean(angles[185:] ** 2))
    assert reading.angle_step == pytest.approx(last, rel=0.05)
    assert abs(math.sqrt(np.mean(angles**2)) / last - 1) > 0.2  # what all rows together would have said
    assert reading.low < reading.ratio < reading.high


def test_a_schedule_that_changes_every_step(one_thread):
    """To the end of a cosine the angles are measured, against the weights, and predictions are called quasi-static."""
    model = Noise(800)
    with torch.no_grad():
        model.weights[0].mul_(8.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3000)
    trail = []

    def each(_):
        schedule.step()
        trail.append(model.weights[0].detach().double().clone())

    monitor = AngularMonitor(model, optimizer, 50, groups=["weights.0"], quiet=True)
    for steps in (1500, 1200, 300):
        train(model, optimizer, steps, seed=steps, each=each)
        [reading] = monitor.readings()
        units = torch.stack([w / w.norm() for w in trail])
        angles = 2 * np.arcsin((units[1:] - units[:-1]).norm(dim=1).numpy() / 2)
        own = [math.sqrt(np.mean(angles[-back:] ** 2)) for back in (70, 320)]
        assert 0.9 * min(own) < reading.angle_step < 1.1 * max(own)
        assert reading.low < reading.ratio < reading.high
        assert all(found.windows and found.angle > 0 and found.predicted > 0 for found in reading.lags.values())
    assert "quasi-static" in reading.why
    assert reading.equilibrated is None
    assert "quasi-static" in " ".join(str(monitor.summary()).split())
    # a drop is no schedule
    for group in optimizer.param_groups:
        group["lr"] = 0.05
    train(model, optimizer, 200)
    for group in optimizer.param_groups:
        group["lr"] = 0.04
    train(model, optimizer, 30)
    assert "quasi-static" not in monitor.readings()[0].why


@pytest.mark.parametrize("steps", [150, 500, 640])
def test_log_and_sinks_have_the_tail(steps, tmp_path):
    """What was measured since the last flush is written at the end, once, and with a checkpoint."""
    model = Noise(30)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    got = []
    options = {"groups": ["weights.0"], "log": tmp_path / "log", "sinks": [lambda _, step: got.append(step)]}
    with AngularMonitor(model, optimizer, **options, quiet=True) as monitor:
        train(model, optimizer, steps - 20)
        monitor.state_dict()
        assert got[-1] == steps - 20
        train(model, optimizer, 20)
    monitor.remove()
    logged = [json.loads(line)["step"] for line in (tmp_path / "log").read_text().splitlines()]
    assert logged == got == sorted(set(got))
    assert logged[-1] == steps


def test_the_tail_is_written_when_the_loop_fails(tmp_path):
    model = Noise(30)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    options = {"groups": ["weights.0"], "log": tmp_path / "log", "quiet": True}
    monitor = AngularMonitor(model, optimizer, **options)

    def loop():
        with monitor:
            train(model, optimizer, 50)
            raise KeyError

    with pytest.raises(KeyError):
        loop()
    assert json.loads((tmp_path / "log").read_text())["step"] == monitor.step == 50
    assert not optimizer._optimizer_step_pre_hooks


@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
@pytest.mark.parametrize("correlation", [0.0, -0.5])
def test_a_law_that_is_not_met_is_no_unqualified_yes(kind, correlation, one_thread):
    """Gradients that turn against the step before leave a stationary norm and an angle off the law: it is said."""
    torch.manual_seed(0)
    model = Noise(1500)
    with torch.no_grad():
        model.weights[0].mul_(6.0)
    wd = {"Adam": 0.05, "AdamW": 0.2}[kind]
    optimizer = getattr(torch.optim, kind)(model.parameters(), lr=1e-2, betas=(0.8, 0.99), weight_decay=wd)
    options = {"groups": ["weights.0"], "every": 2, "lags": (), "watch_clipping": False, "quiet": True}
    generator = torch.Generator().manual_seed(1)
    before = torch.zeros(1500)
    w = model.weights[0]
    monitor = None
    for k in range(6000):
        if k == 2500:
            monitor = AngularMonitor(model, optimizer, **options)
        fresh = torch.randn(1500, generator=generator)
        m = fresh - before if correlation else fresh
        before = fresh
        unit = w.detach() / w.detach().norm()
        w.grad = (m - unit * (m @ unit)) / w.detach().norm()
        optimizer.step()
    assert monitor is not None
    [reading] = monitor.readings()
    # <v, e> (1 - mu)/|e|^2 with neighbours' correlation -1/2 and no other: -(1 - mu)/2
    mu = reading.rule.momentum
    assert reading.signal == pytest.approx(correlation * (1 - mu), abs=0.02)
    if correlation and kind == "AdamW":
        return  # gradients orthogonal to the weights and a stationary norm fix this one's step
    if correlation:
        assert reading.ratio < 0.9
        # its steps and its decay balance (theory.md 6.9), and the reason says how small the steps are
        assert "of the table's" in reading.why
        assert reading.step_size < 0.3
        assert reading.ratio**2 == pytest.approx(reading.step_size ** (1 / 3), rel=0.05)
        assert "law" in kinds(monitor)
    else:
        assert reading.equilibrated is True, reading.why
        assert "law" not in kinds(monitor)


def test_lags_of_every_group_and_all_that_decay(one_thread):
    """A group without decay keeps its own line and does not take the law from the others together."""
    torch.manual_seed(0)
    model = Noise(800, 800, 40)
    optimizer = torch.optim.SGD(
        [{"params": [*model.weights[:2]]}, {"params": [model.weights[2]], "weight_decay": 0.0}],
        lr=0.1,
        weight_decay=2e-2,
    )
    options = {"groups": [f"weights.{i}" for i in range(3)], "every": 2, "lags": (10, 50), "quiet": True}
    monitor = AngularMonitor(model, optimizer, 100, **options)
    train(model, optimizer, 3000)
    one, two, bare, total = monitor.readings()
    assert total.count == 1600
    assert total.ratio == pytest.approx(1.0, abs=0.02)
    assert total.lags[50].predicted == pytest.approx(one.lags[50].predicted, rel=1e-6)
    assert total.weight_norm == pytest.approx(math.hypot(one.weight_norm, two.weight_norm), rel=1e-6)
    assert "without 1" in total.why
    text = str(monitor.summary())
    table = text[text.index("angles over lags [deg]") :]
    for reading in (one, two, bare, total):
        line = next(line for line in table.splitlines() if line.strip().startswith(reading.name))
        assert f"{math.degrees(reading.lags[50].angle):.2f}"[:3] in line
    # the record holds all together, whose law is not known
    record = monitor.record()
    assert json.loads(record.attrs["predictions_by_group"])["all"]["angle_step"]["value"] is None
    assert json.loads(record.attrs["predictions_by_group"])["weights.0"]["angle_step"]["value"] > 0


def test_refusals():
    model = Noise(5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for bad, message in (((optimizer, model), "Module"), ((model, model), "a torch optimizer")):
        with pytest.raises(BadInput, match=message):
            AngularMonitor(*bad, quiet=True)
    for groups in ([], {}):
        with pytest.raises(BadInput, match="at least one group"):
            AngularMonitor(model, optimizer, groups=groups, quiet=True)
    monitor = AngularMonitor(model, optimizer, groups=["weights.0"], quiet=True)
    with pytest.raises(BadInput, match="state_dict"):
        monitor.load_state_dict({})


def test_notes_say_what_they_can():
    model = Noise(5, 6)
    optimizer = torch.optim.SGD([model.weights[0]], lr=0.0, weight_decay=0.1)
    monitor = AngularMonitor(model, optimizer, groups=["weights.0"], quiet=True)
    [notice] = monitor.notices()
    assert "learning rate 0" in str(notice)
    assert "inf" not in str(notice)
    optimizer.add_param_group({"params": [model.weights[1]]})
    assert "1 parameters were added" in str(monitor.notices()[-1])
    train(model, optimizer, 30)
    assert not monitor._windows.failures


@pytest.mark.parametrize("clipped", [True, False])
@pytest.mark.parametrize("every", [1, 10])
def test_clipping_is_noticed_within_a_hundred_steps(clipped, every):
    """At the default interval, and no notice of gradients that nobody clips."""
    torch.manual_seed(0)
    model = Noise(50)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-2)
    monitor = AngularMonitor(model, optimizer, groups=["weights.0"], every=every, lags=(), quiet=True)
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        optimizer.zero_grad()
        model(generator).backward()
        if clipped:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
    assert kinds(monitor) == (["clipping"] if clipped else [])
    looks = monitor._windows.clipping.looks
    assert looks == 10 if every == 10 else looks == 10 + sum(k % 4 == 0 for k in range(10, 100))
