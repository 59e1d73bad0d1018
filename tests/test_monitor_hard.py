"""AngularMonitor in loops that are not tidy: frozen layers, short runs, schedules, ends without a flush."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from sde_si.monitor import AngularMonitor  # noqa: E402


class Noise(torch.nn.Module):
    """Weights whose loss depends on their direction alone, with gradients of mean zero."""

    def __init__(self, *sizes):
        super().__init__()
        self.weights = torch.nn.ParameterList(torch.nn.Parameter(torch.randn(n) / math.sqrt(n)) for n in sizes)

    def forward(self, generator, mean=0.0):
        total = 0.0
        for w in self.weights:
            m = torch.randn(w.shape, generator=generator)
            m[0] -= mean
            total = total + m @ (w / torch.linalg.vector_norm(w))
        return total


def train(model, optimizer, steps, seed=0, mean=0.0, each=None):
    generator = torch.Generator().manual_seed(seed)
    for k in range(steps):
        optimizer.zero_grad()
        model(generator, mean).backward()
        optimizer.step()
        if each:
            each(k)


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
