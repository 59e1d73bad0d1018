"""``python -m validation.benchmarks monitor [cpu|cuda]``: what AngularMonitor costs, at its default interval.

Small network: time within the monitor's hooks per recorded step, five repeats. ResNet-18 on 32x32 images, B = 128: time
within the hooks over the time of everything else. On a CPU, processor time of one thread; on CUDA, wall time with the
device waited for.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sde_si.monitor import AngularMonitor
from sde_si.provenance import provenance

RECORDS = Path(__file__).resolve().parent.parent / "records"
REPEATS = 5
GOALS = {"microseconds_per_recorded_step": 200.0, "share_of_resnet18": 0.05}


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside))
        self.b = nn.Sequential(nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside))
        same = stride == 1 and inside == outside
        short = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))
        self.short = nn.Identity() if same else short

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps."""
        return torch.relu(self.b(torch.relu(self.a(x))) + self.short(x))


def resnet18() -> nn.Module:
    """The variant for small images."""
    parts: list[nn.Module] = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    inside = 64
    for width, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        parts.append(Block(inside, width, stride))
        inside = width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def small() -> nn.Module:
    """A network whose step is all overhead."""
    wide = [nn.Linear(32, 32, bias=False), nn.LayerNorm(32), nn.ReLU()]
    return nn.Sequential(nn.Linear(16, 32, bias=False), nn.LayerNorm(32), nn.ReLU(), *wide, nn.Linear(32, 10))


def clock(device: str) -> float:
    """Seconds: of the processor, or of the wall once the device is idle."""
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def stepper(model: nn.Module, x: torch.Tensor) -> tuple[torch.optim.Optimizer, Callable[[int], None]]:
    """SGDM on random labels, and a function that does so many steps."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    y = torch.randint(0, 10, (len(x),), device=x.device)

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    return optimizer, run


def time_inside(optimizer: torch.optim.Optimizer, device: str) -> list[float]:
    """Wrap the optimizer's step hooks; the one entry grows by the seconds spent in them."""
    inside = [0.0]
    empty = float(np.median([-clock(device) + clock(device) for _ in range(1000)]))  # what reading the clock adds

    def timed(hook: Callable[..., None]) -> Callable[..., None]:
        def wrapper(*args: Any) -> None:
            begin = clock(device)
            hook(*args)
            inside[0] += clock(device) - begin - empty

        return wrapper

    for hooks in (optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks):
        for key, hook in hooks.items():
            hooks[key] = timed(hook)
    return inside


def small_network(device: str) -> dict[str, Any]:
    """Microseconds in the hooks per recorded step, everything that other steps cost included."""
    model = small().to(device)
    optimizer, run = stepper(model, torch.randn(16, 16, device=device))
    steps, every = 1000, 10
    extra, plain = [], []
    with AngularMonitor(model, optimizer, groups=["0.weight", "3.weight"], every=every, quiet=True):
        inside = time_inside(optimizer, device)
        run(500)
        for _ in range(REPEATS):
            inside[0], begin = 0.0, clock(device)
            run(steps)
            extra.append(inside[0] / steps * every * 1e6)
            plain.append((clock(device) - begin - inside[0]) / steps * 1e6)
    return {"microseconds_per_recorded_step": float(np.median(extra)), "min": min(extra), "max": max(extra),
            "microseconds_per_plain_step": float(np.median(plain))}  # fmt: skip


def large_network(device: str) -> dict[str, Any]:
    """Share of the time of ResNet-18 that is spent in the hooks."""
    model = resnet18().to(device)
    optimizer, run = stepper(model, torch.randn(128, 3, 32, 32, device=device))
    names = [name for name, p in model.named_parameters() if p.ndim == 4]
    monitor = AngularMonitor(model, optimizer, groups=names, quiet=True)
    inside = time_inside(optimizer, device)
    steps = 10 if device == "cpu" else 200
    run(2)
    inside[0], begin = 0.0, clock(device)
    run(steps)
    whole = clock(device) - begin
    monitor.readings()
    return {"share_of_resnet18": inside[0] / (whole - inside[0]), "seconds_per_step": (whole - inside[0]) / steps,
            "weights": sum(g.count for g in monitor.groups), "memory": monitor.memory()}  # fmt: skip


def main(args: Sequence[str] = ()) -> int:
    """Run both and write the record."""
    device = args[0] if args else "cpu"
    if device not in ("cpu", "cuda"):
        print("usage: python -m validation.benchmarks monitor [cpu|cuda]", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found = small_network(device) | large_network(device)
    made = provenance(torch=torch.__version__)
    path = RECORDS / f"benchmark_monitor_{device}.json"
    path.write_text(json.dumps({"goals": GOALS, "found": found, "provenance": made}, indent=1) + "\n")
    for name, goal in GOALS.items():
        print(f"{name}: {found[name]:.4g}, goal {goal:g}: {'reached' if found[name] <= goal else 'MISSED'}")
    print(json.dumps(found, indent=1))
    return 0
