"""The monitor in any loop: schedules, groups, compiled steps, resumption."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from noise_model import Noise, train  # noqa: E402

from sde_si import theory  # noqa: E402
from sde_si.errors import BadInput  # noqa: E402
from sde_si.monitor import AngularMonitor  # noqa: E402


def test_learning_rate_drop_and_recovery(one_thread):
    """The angle falls at once by the drop and comes back to its root, as theory.md 6.5 says."""
    model = Noise(1500)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2500], gamma=0.1)
    monitor = AngularMonitor(model, optimizer, 100, every=2, lags=(), groups=["weights.0"], quiet=True)
    train(model, optimizer, 2500, each=lambda _: schedule.step())
    assert monitor.readings()[0].ratio == pytest.approx(1.0, abs=0.01)
    train(model, optimizer, 100, seed=1, each=lambda _: schedule.step())
    [now] = monitor.readings()
    assert now.ratio == pytest.approx(1 / math.sqrt(10), rel=0.1)
    assert now.equilibrated is not True
    assert now.steps_left == pytest.approx(math.log(9 / 0.04) / (4 * 0.05 * 1e-2), rel=0.1)
    train(model, optimizer, 3500, seed=2)
    [now] = monitor.readings()
    assert now.ratio == pytest.approx(1.0, abs=0.02)


def test_parameter_groups_have_their_own_prediction(one_thread):
    model = Noise(800, 800, 50)
    first, second, third = model.weights
    optimizer = torch.optim.SGD(
        [{"params": [first], "lr": 0.2}, {"params": [second], "weight_decay": 0.04},
         {"params": [third], "weight_decay": 0.0}],
        lr=0.1, weight_decay=1e-2, momentum=0.5,
    )  # fmt: skip
    with AngularMonitor(
        model, optimizer, 100, groups=[f"weights.{i}" for i in range(3)], every=2, quiet=True
    ) as monitor:
        train(model, optimizer, 3000)
    one, two, three, total = monitor.readings()
    for reading, u in ((one, 2e-3), (two, 4e-3)):
        assert reading.predicted == pytest.approx(theory.step_angle(u, 0.5), rel=1e-9)
        assert reading.ratio == pytest.approx(1.0, abs=0.015)
        assert reading.tuning_factor == pytest.approx(100 * u / 0.5)
    assert three.equilibrated is False
    assert "no weight decay" in three.why
    assert math.isnan(three.predicted)
    assert total.name == "all"
    assert math.isnan(total.tuning_factor)


def test_accumulation_clipping_amp_and_compile():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    monitor = AngularMonitor(compiled, optimizer, 20, groups=["0.weight"], every=1, quiet=True)
    for step in range(60):
        for _ in range(2):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = compiled(torch.randn(32, 8)).float().square().mean()
            if step == 10:
                loss = loss * math.inf  # the scaler skips this step
            scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1e-2)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    assert monitor.step == 59  # accumulated batches are one step, the skipped step is none
    assert [notice.kind for notice in monitor.notices() if notice.kind == "clipping"] == ["clipping"]
    assert all(np.isfinite(row.values[0]).all() for row in monitor.history.rows[1][1:])


# torch's own, when it compiles a step
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_step_and_a_step_that_fails():
    """The hooks stay out of a compiled step; an exception within a step costs that step and nothing else."""
    model = Noise(30)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    monitor = AngularMonitor(model, optimizer, groups=["weights.0"], every=1, quiet=True)
    compiled = torch.compile(optimizer.step, backend="eager")
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        model(generator).backward()
        compiled()
    assert monitor.step == 6

    def fails():
        raise RuntimeError

    def deeper(step):
        step()

    with pytest.raises(RuntimeError):
        optimizer.step(fails)
    for _ in range(6):
        model(generator).backward()
        deeper(optimizer.step)
    assert monitor.step == 12
    assert len(monitor.history.rows[1]) == 12 if monitor.readings() else False


def test_free_gradients_are_not_called_clipped():
    model = Noise(50)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monitor = AngularMonitor(model, optimizer, groups=["weights.0"], every=1, quiet=True)
    train(model, optimizer, 200)
    assert not [notice for notice in monitor.notices() if notice.kind == "clipping"]


def test_resumption():
    """A run in two halves has the epochs of a whole one; an epoch that was cut has no window of its own."""

    def run(cut):
        torch.manual_seed(0)
        model = Noise(100)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=1e-2)
        options = {"groups": ["weights.0"], "lags": (10,), "every": 5, "quiet": True}
        monitor = AngularMonitor(model, optimizer, 20, **options)
        generator = torch.Generator().manual_seed(1)
        for k in range(100):
            if k == cut:
                import io

                file = io.BytesIO()
                torch.save(monitor.state_dict(), file)
                monitor.remove()
                monitor = AngularMonitor(model, optimizer, 20, **options)
                file.seek(0)
                monitor.load_state_dict(torch.load(file))
            optimizer.zero_grad()
            model(generator).backward()
            optimizer.step()
        return monitor.record()

    whole, halves, cut = run(None), run(40), run(53)
    for name in ("cos_epoch", "angle_step", "weight_norm", "weight_norm_initial"):
        assert np.array_equal(whole[name].values, halves[name].values), name
    assert cut["epoch"].values.tolist() == [1, 2, 4, 5]
    assert np.array_equal(cut["weight_norm"].values, whole["weight_norm"].values[:, [0, 1, 3, 4]])


def test_epochs_by_call():
    model = Noise(60)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, weight_decay=1e-2)
    monitor = AngularMonitor(model, optimizer, groups=["weights.0"], quiet=True)
    for steps in (30, 50):
        train(model, optimizer, steps)
        with pytest.raises(BadInput, match="a whole epoch") if steps == 30 else _nothing():
            monitor.record()
        monitor.epoch()
        monitor.epoch()  # harmless
    record = monitor.record()
    assert record["steps_per_epoch"].values.tolist() == [30, 50]
    assert monitor.readings()[0].tuning_factor == pytest.approx(50 * 2e-3)


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def test_removed_without_a_trace():
    model = Noise(30)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = (dict(model.__dict__), dict(optimizer.state_dict()), len(optimizer._optimizer_step_post_hooks))
    with AngularMonitor(model, optimizer, quiet=True, groups=["weights.0"]) as monitor:
        train(model, optimizer, 30)
    assert (len(optimizer._optimizer_step_post_hooks), len(optimizer._optimizer_step_pre_hooks)) == (before[2], 0)
    assert not any(hasattr(w, name) for w in model.weights for name in ("monitor", "_sde_si"))
    assert monitor.probe.copies == {}
    step = monitor.step
    train(model, optimizer, 5)
    assert monitor.step == step


def test_master_weights_are_read():
    """The optimizer steps float32 copies of bfloat16 weights: these are watched, under the model's names."""
    model = torch.nn.Linear(20, 20, bias=False).bfloat16()
    master = model.weight.detach().float().requires_grad_()
    optimizer = torch.optim.SGD([master], lr=1e-3)
    monitor = AngularMonitor(model, optimizer, every=1, quiet=True)
    assert monitor.groups[0].name == "weight"
    master.grad = torch.randn(20, 20)
    optimizer.step()
    assert 0 < monitor.readings()[0].angle_step < 1e-1
