"""What the monitor refuses, and what it gives notice of."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from noise_model import Noise, train  # noqa: E402

from sde_si.errors import BadInput, DiskProblem  # noqa: E402
from sde_si.monitor import AngularMonitor  # noqa: E402


def test_bad_input(tmp_path):
    model = Noise(5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for bad in ({"every": 0}, {"groups": ["nothing"]}, {"lags": (0,)}, {"steps_per_epoch": -1}, {}):
        with pytest.raises(BadInput):
            AngularMonitor(model, optimizer, **bad, quiet=True)
    with pytest.raises(BadInput, match="steps none"):
        AngularMonitor(model, torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.1), quiet=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskProblem):
        AngularMonitor(model, optimizer, groups=["weights.0"], log=tmp_path / "file" / "log", quiet=True)
    assert not optimizer._optimizer_step_pre_hooks


def kinds(monitor):
    return [notice.kind for notice in monitor.notices()]


def test_notices_of_settings_have_both_signs(capsys):
    model = Noise(5, 5)
    groups = ["weights.0", "weights.1"]
    good = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1, momentum=0.9)
    assert kinds(AngularMonitor(model, good, groups=groups)) == []
    assert "copies" in capsys.readouterr().err
    nesterov = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1, momentum=0.9, nesterov=True)
    assert kinds(AngularMonitor(model, nesterov, groups=groups, quiet=True)) == ["setting"]
    assert capsys.readouterr().err == ""
    dampened = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1, momentum=0.9, dampening=0.9)
    assert kinds(AngularMonitor(model, dampened, groups=groups, quiet=True)) == ["setting"]
    unknown = torch.optim.RMSprop(model.parameters(), lr=0.1, weight_decay=0.1)
    assert kinds(AngularMonitor(model, unknown, groups=groups, quiet=True)) == ["setting"]
    bare = torch.optim.SGD(model.parameters(), lr=0.1)
    assert kinds(AngularMonitor(model, bare, groups=groups, quiet=True)) == ["norm"]
    two = [{"params": [model.weights[0]], "lr": 0.0}, {"params": [model.weights[1]]}]
    frozen = torch.optim.SGD(two, lr=0.1, weight_decay=0.1)
    assert kinds(AngularMonitor(model, frozen, groups=groups, quiet=True)) == ["frozen"]


def test_notice_of_the_budget():
    for total, expected in ((100, ["budget"]), (100_000, [])):
        model = Noise(50)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-2)
        monitor = AngularMonitor(model, optimizer, groups=["weights.0"], total_steps=total, quiet=True)
        train(model, optimizer, 60)
        assert kinds(monitor) == expected


def test_notice_of_a_norm_that_runs_away():
    """Gradients that grow without end: theory expects rest, the norm grows on; constant ones rest."""
    for growth, expected in ((0.01, ["norm"]), (0.0, [])):
        torch.manual_seed(0)
        model = Noise(300)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
        monitor = AngularMonitor(model, optimizer, groups=["weights.0"], watch_clipping=False, quiet=True)
        generator = torch.Generator().manual_seed(0)
        for k in range(600):
            optimizer.zero_grad()
            (model(generator) * math.exp(growth * k)).backward()
            optimizer.step()
        assert kinds(monitor) == expected


def test_a_group_of_several_rules_is_measured_and_not_predicted():
    """Weight and bias before a norm layer turn together; with decay on one only there is no law for both."""
    for bias_wd, known in ((0.1, True), (0.0, False)):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.LayerNorm(8, elementwise_affine=False))
        parts = [{"params": [model[0].weight]}, {"params": [model[0].bias], "weight_decay": bias_wd}]
        optimizer = torch.optim.SGD(parts, lr=0.1, weight_decay=0.1)
        groups = {"both": ["0.weight", "0.bias"]}
        with AngularMonitor(model, optimizer, groups=groups, steps_per_epoch=10, every=1, quiet=True) as monitor:
            for _ in range(40):
                optimizer.zero_grad()
                (model(torch.randn(8, 6)) * torch.randn(8, 8)).sum(1).mean().backward()
                optimizer.step()
            [reading, *_] = monitor.readings()
            said = [notice for notice in monitor.notices() if "different weight decay" in notice.text]
            assert math.isfinite(reading.angle_step)
            assert math.isfinite(reading.ratio) == known
            assert bool(said) != known


def test_sgdw_with_nesterov_has_no_law():
    class SGDW(torch.optim.SGD):
        """As timm's: decoupled, with the option."""

    model = Noise(5)
    optimizer = SGDW(model.parameters(), lr=0.1, weight_decay=0.1, momentum=0.9, nesterov=True)
    monitor = AngularMonitor(model, optimizer, groups=["weights.0"], every=1, quiet=True)
    train(model, optimizer, 30)
    [reading, *_] = monitor.readings()
    assert math.isnan(reading.ratio)
    assert any("no law covers it" in notice.text for notice in monitor.notices())
