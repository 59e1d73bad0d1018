"""What the monitor measures: against direct recomputation, theory, and a run without it."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from noise_model import Noise, train  # noqa: E402

from sde_si.monitor import AngularMonitor  # noqa: E402
from sde_si.monitor.optimizers import form_of, rule_of  # noqa: E402
from sde_si.theory.optimizers import equilibrium_norm  # noqa: E402


class Lion(torch.optim.Optimizer):
    """Lion as its authors publish it."""

    def __init__(self, params, lr, betas, weight_decay):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(torch.sign(b1 * m + (1 - b1) * p.grad), alpha=-group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)


class SGDW(torch.optim.SGD):
    """SGD with decoupled weight decay, as in timm."""

    def step(self):
        decay = [group["weight_decay"] for group in self.param_groups]
        for group in self.param_groups:
            for p in group["params"]:
                p.data.mul_(1 - group["lr"] * group["weight_decay"])
            group["weight_decay"] = 0.0
        super().step()
        for group, wd in zip(self.param_groups, decay, strict=True):
            group["weight_decay"] = wd


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.5, weight_decay=4e-3),
    "sgdm": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=4e-3),
    "dampened": lambda p: torch.optim.SGD(p, lr=0.4, momentum=0.8, dampening=0.5, weight_decay=4e-3),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=4e-3, nesterov=True),
    "sgdw": lambda p: SGDW(p, lr=0.1, momentum=0.8, weight_decay=2e-2),
    "sgdw-dampened": lambda p: SGDW(p, lr=0.4, momentum=0.8, dampening=0.75, weight_decay=5e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, betas=(0.9, 0.99), weight_decay=0.2),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, betas=(0.8, 0.99), weight_decay=0.05),
    "lion": lambda p: Lion(p, lr=1e-2, betas=(0.95, 0.98), weight_decay=0.2),
}  # fmt: skip


def angle64(a, b):
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return 2 * math.asin(min(1.0, np.linalg.norm(a - b) / 2))


@pytest.mark.parametrize("every", [1, 3, 10])
def test_windows_are_those_of_the_weights(every):
    """Every angle and norm, recomputed from the weights of all steps in float64."""
    model = Noise(40, 300)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, weight_decay=1e-2)
    trail = [[w.detach().double().numpy().copy() for w in model.weights]]
    monitor = AngularMonitor(
        model, optimizer, 25, groups=["weights.0", "weights.1"], every=every, lags=(7, 20), quiet=True
    )
    train(
        model, optimizer, 100, each=lambda _: trail.append([w.detach().double().numpy().copy() for w in model.weights])
    )
    monitor.readings()
    seen = 0
    for lag, rows in monitor.history.rows.items():
        for row in rows:
            end = row.step + (lag or 25)
            for g in range(3):
                pick = [g] if g < 2 else [0, 1]
                x0, x1 = (np.concatenate([trail[k][i] for i in pick]) for k in (row.step, end))
                from sde_si.monitor.history import angle, end_norm

                assert angle(row.values[g]) == pytest.approx(angle64(x0, x1), rel=2e-5)
                assert end_norm(row.values[g]) == pytest.approx(np.linalg.norm(x1), rel=1e-5)
                if lag == 1 and row.step > 0:
                    v = x0 - np.concatenate([trail[row.step - 1][i] for i in pick])
                    assert row.values[g, 3:5] == pytest.approx([x0 @ v, v @ v], rel=1e-4, abs=1e-6)
                seen += 1
    assert seen > 40
    record = monitor.record()
    assert record["group"].values.tolist() == ["1", "2", "all"]
    assert record["angle_epoch"].values[0, :, 0] == pytest.approx(
        [angle64(trail[25 * e][0], trail[25 * e + 25][0]) for e in range(4)], rel=2e-5
    )
    assert record["weight_norm_initial"].values[0, 0] == pytest.approx(np.linalg.norm(trail[0][0]), rel=1e-6)


def test_memory_layouts_and_types():
    """channels_last, float64, a slice of a larger tensor: the same numbers as for plain weights."""
    found = []
    for change in (lambda w: w, lambda w: w.to(memory_format=torch.channels_last), lambda w: w.double(),
                   lambda w: torch.nn.functional.pad(w, (0, 2))[..., :3]):  # fmt: skip
        torch.manual_seed(0)
        weight = torch.nn.Parameter(change(torch.randn(6, 5, 3, 3)))
        model = torch.nn.Module()
        model.weight = weight
        optimizer = torch.optim.SGD([weight], lr=0.5)
        monitor = AngularMonitor(model, optimizer, 8, every=1, lags=(2,), quiet=True)
        rng = np.random.default_rng(0)
        for _ in range(8):
            weight.grad = torch.as_tensor(rng.standard_normal((6, 5, 3, 3))).to(weight)
            optimizer.step()
        monitor.readings()
        found.append(np.stack([row.values[0] for row in monitor.history.rows[1][1:]]))
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-4)


def test_a_run_with_it_is_bit_identical():
    def run(watched):
        torch.manual_seed(3)
        model = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Dropout(0.2),
                                    torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(4))  # fmt: skip
        x, y = torch.randn(16, 1, 8, 8), torch.randint(0, 4, (16,))
        model(x)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        monitor = AngularMonitor(model, optimizer, 10, batch=x, every=2, quiet=True) if watched else None
        for _ in range(40):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x + torch.randn_like(x)), y).backward()
            optimizer.step()
            if monitor:
                monitor.summary()
        return [t.clone() for t in model.state_dict().values()], torch.get_rng_state()

    for a, b in zip(run(False)[0], run(True)[0], strict=True):
        assert torch.equal(a, b)
    assert torch.equal(run(False)[1], run(True)[1])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_equilibrium_of_every_optimizer(kind, seed, one_thread):
    """Noise alone: step, lags and, where the optimizer fixes it, the norm, within 5 standard errors and 1 %."""
    torch.manual_seed(seed % 2**31)
    model = Noise(1500)
    optimizer = OPTIMIZERS[kind](list(model.parameters()))
    form = form_of(optimizer)
    names = ["weights.0"]
    quiet = {"quiet": True, "groups": names, "watch_clipping": False}
    star = equilibrium_norm(rule_of(form, optimizer.param_groups[0]), 1500)
    with torch.no_grad():
        model.weights[0].mul_((star if math.isfinite(star) else 6.0) / model.weights[0].norm())
    train(model, optimizer, 1000, seed)  # to equilibrium: four times 1/(4 lr wd) steps and more
    monitor = AngularMonitor(model, optimizer, 200, every=2, lags=(10, 50), **quiet)
    train(model, optimizer, 5000, seed + 1)
    [reading] = monitor.readings()
    error = (reading.high - reading.low) / 4.3
    assert error < 0.01 / 3
    assert abs(reading.ratio - 1) < max(5 * error, 0.01)
    assert reading.equilibrated is True, reading.why
    for lag, found in reading.lags.items():
        tolerance = 0.015 if kind != "adam" else 0.03  # Adam's own second moments fluctuate
        assert abs(found.angle / found.predicted - 1) < max(5 * found.stderr / found.predicted, tolerance), lag
    if math.isfinite(star):
        assert reading.weight_norm == pytest.approx(star, rel=0.03)
    # the formula that forgets the momentum is rejected by the same data
    rule = reading.rule
    if rule.momentum and kind != "adam":
        wrong = math.sqrt(2 * rule.intrinsic_lr)
        assert abs(reading.angle_step / wrong - 1) > 10 * max(error, 0.005)


def test_signal_share(seed, one_thread):
    """A mean gradient is seen in the weights alone: G/(G+tau), without and with momentum."""
    for momentum in (0.0, 0.8):
        torch.manual_seed(seed % 2**31)
        model = Noise(400)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=momentum, weight_decay=1e-2)
        monitor = AngularMonitor(
            model, optimizer, every=2, lags=(), groups=["weights.0"], watch_clipping=False, quiet=True
        )
        train(model, optimizer, 1500, seed)
        assert abs(monitor.readings()[0].signal) < 0.02
        monitor.remove()
        model = Noise(400)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.002, momentum=momentum)
        with torch.no_grad():
            model.weights[0].mul_(30)
        monitor = AngularMonitor(
            model, optimizer, every=2, lags=(), groups=["weights.0"], watch_clipping=False, quiet=True
        )
        train(model, optimizer, 1500, seed, mean=15.0)  # far from its goal: G = 15^2 (1 - y_1^2)
        w = model.weights[0].detach()
        y = float(w[0] / w.norm())
        G = 225 * (1 - y * y)
        assert monitor.readings()[0].signal == pytest.approx(G / (G + 399), abs=0.04)


def test_confinement_is_seen(seed, one_thread):
    """In a narrow well the cosine over a long lag is held up by gradients, as theory.md 1.11 splits it."""
    torch.manual_seed(seed % 2**31)
    model = Noise(100)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.5, weight_decay=1e-2)
    monitor = AngularMonitor(model, optimizer, lags=(100,), groups=["weights.0"], watch_clipping=False, quiet=True)
    train(model, optimizer, 6000, seed, mean=200.0)
    lag = monitor.readings()[0].lags[100]
    assert lag.angle < 0.8 * lag.predicted
    assert lag.confinement > 0.1
