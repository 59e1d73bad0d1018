"""AngularMonitor on CUDA: what a CPU cannot show."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

from sde_si.audit import audit  # noqa: E402
from sde_si.monitor import AngularMonitor  # noqa: E402
from sde_si.monitor.history import angle, end_norm  # noqa: E402

pytestmark = pytest.mark.gpu


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, bias=False), torch.nn.BatchNorm2d(16), torch.nn.ReLU(),
        torch.nn.Conv2d(16, 16, 3, bias=False), torch.nn.BatchNorm2d(16), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(16, 10),
    ).cuda()  # fmt: skip


def batches(count):
    generator = torch.Generator(device="cuda").manual_seed(1)
    for _ in range(count):
        x = torch.randn(32, 3, 12, 12, device="cuda", generator=generator)
        yield x, torch.randint(0, 10, (32,), device="cuda", generator=generator)


def train(model, optimizer, count, each=None):
    for x, y in batches(count):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        if each:
            each()


GROUPS = ["0.weight", "3.weight"]


def test_windows_are_those_of_the_weights():
    model = net().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    monitor = AngularMonitor(model, optimizer, 20, groups=GROUPS, every=2, lags=(6,), quiet=True)
    trail = []

    def keep():
        trail.append(np.concatenate([model[i].weight.detach().double().cpu().numpy().ravel() for i in (0, 3)]))

    keep()
    train(model, optimizer, 60, keep)
    monitor.readings()
    for lag, rows in monitor.history.rows.items():
        for row in rows:
            a, b = trail[row.step], trail[row.step + (lag or 20)]
            unit = a / np.linalg.norm(a) - b / np.linalg.norm(b)
            assert angle(row.values[-1]) == pytest.approx(2 * np.arcsin(np.linalg.norm(unit) / 2), rel=1e-4)
            assert end_norm(row.values[-1]) == pytest.approx(np.linalg.norm(b), rel=1e-5)


@pytest.mark.parametrize("kind", ["SGD", "AdamW", "Adam"])
def test_no_synchronisation_between_flushes(kind):
    model = net()
    options = {"momentum": 0.9} if kind == "SGD" else {}
    optimizer = getattr(torch.optim, kind)(model.parameters(), lr=1e-2, weight_decay=1e-2, **options)
    monitor = AngularMonitor(model, optimizer, 10, groups=GROUPS, every=1, flush_every=10_000, quiet=True)
    train(model, optimizer, 5)
    data = list(batches(40))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for x, y in data:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert monitor.step == 45
    assert len(monitor.readings()) == 3


def test_mixed_precision_and_a_learning_rate_on_the_device():
    model = net()
    lr = torch.tensor(1e-2, device="cuda")
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=1e-1, capturable=True)
    scaler = torch.amp.GradScaler("cuda")
    monitor = AngularMonitor(model, optimizer, groups=GROUPS, every=1, quiet=True)
    for x, y in batches(30):
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = torch.nn.functional.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    reading = monitor.readings()[0]
    assert reading.rule.lr == pytest.approx(1e-2)
    assert reading.predicted > 0


def test_audit():
    levels = audit(net(), next(iter(batches(1)))[0]).levels
    assert {levels[name] for name in GROUPS} == {"filter"}
