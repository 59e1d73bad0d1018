"""``python -m validation.monitor_digits FOLDER``: the monitor on a small network that learns scikit-learn's digits.

A convolutional network with batch norm, SGDM, batches drawn with replacement and shifted by a pixel, one drop of the
learning rate; then the same with AdamW. Writes the tables, and the figure of the first run, into FOLDER.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sde_si.audit import audit
from sde_si.monitor import AngularMonitor

B, STEPS, DROP = 32, 9000, 5000


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Images (1797, 1, 8, 8) of mean 0 and variance 1, and labels."""
    from sklearn.datasets import load_digits  # pyright: ignore[reportMissingImports]

    data = load_digits()
    x = torch.as_tensor(data.images, dtype=torch.float32)[:, None]
    return (x - x.mean()) / x.std(), torch.as_tensor(data.target)


def network() -> nn.Module:
    """Three convolutions with batch norm and a linear layer."""
    parts: list[nn.Module] = []
    for inside, outside in ((1, 16), (16, 16), (16, 16)):
        parts += [nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10))


def train(kind: str, x: torch.Tensor, y: torch.Tensor) -> tuple[AngularMonitor, list[Any]]:
    """One run; summaries before the drop of the learning rate, soon after it, and at the end."""
    torch.manual_seed(0)
    model = network()
    if kind == "sgdm":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=2e-3)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [DROP], gamma=0.2)
    batch = (x[:64], y[:64])
    if kind == "sgdm":
        print(audit(model, batch))
    summaries = []
    with AngularMonitor(model, optimizer, len(x) // B, batch=batch, lags=(10,), every=5) as monitor:
        for step in range(1, STEPS + 1):
            pick = torch.randint(len(x), (B,))
            shift = torch.randint(-1, 2, (2,)).tolist()
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(torch.roll(x[pick], shift, (2, 3))), y[pick], label_smoothing=0.1)
            loss.backward()
            optimizer.step()
            schedule.step()
            if step in (DROP, DROP + 300, STEPS):
                summaries.append(monitor.summary())
    return monitor, summaries


def main() -> int:
    """Run both optimizers."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    x, y = digits()
    for kind in ("sgdm", "adamw"):
        monitor, summaries = train(kind, x, y)
        for summary in summaries:
            print(summary)
        (folder / f"monitor-{kind}.json").write_text(json.dumps([s.to_json() for s in summaries], indent=1) + "\n")
        if kind == "sgdm":
            monitor.plot().savefig(folder / "monitor-digits.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
