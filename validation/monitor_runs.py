"""The monitor on a small network and real images: ``python -m validation.monitor_runs FOLDER [digits|fashion-mnist]``.

Three convolutions with batch norm, batches drawn with replacement and shifted by a pixel, one drop of the learning rate
by 5; SGDM, then AdamW. Writes tables, their numbers, and the figure of each run into FOLDER.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sde_si.audit import audit
from sde_si.errors import BAD_INPUT
from sde_si.monitor import AngularMonitor
from sde_si.terminal import say
from validation.data import load


@dataclass(frozen=True)
class Case:
    """So many images of so many pixels a side, and a run on them; `after` is steps from the drop to the next look.

    The memory of AdamW slows the approach of its norm to equilibrium: a short run needs a short one.
    """

    N: int
    size: int
    B: int
    steps: int
    drop: int
    after: int
    beta2: float


CASES = {
    "digits": Case(1280, 8, 32, 9000, 5000, 300, 0.999),
    "fashion-mnist": Case(12_800, 14, 64, 5000, 2600, 300, 0.95),
}
OPTIMIZERS = {
    "sgdm": lambda parameters, _: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=2e-3),
    "adamw": lambda parameters, beta2: torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.1, betas=(0.9, beta2)),
}


def images(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Training images (number, 1, size, size) of mean 0 and variance 1, and labels."""
    data = load(name, N=CASES[name].N, size=CASES[name].size)
    x = torch.as_tensor(data.train, dtype=torch.float32)
    return (x - x.mean()) / x.std(), torch.as_tensor(data.train_labels, dtype=torch.int64)


def network() -> nn.Module:
    """Three convolutions with batch norm and a linear layer."""
    parts: list[nn.Module] = []
    for inside, outside in ((1, 16), (16, 16), (16, 16)):
        parts += [nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10))


def train(kind: str, case: Case, x: torch.Tensor, y: torch.Tensor) -> tuple[AngularMonitor, list[Any]]:
    """One run; summaries before the drop of the learning rate, soon after it, and at the end."""
    torch.manual_seed(0)
    model = network()
    optimizer = OPTIMIZERS[kind](model.parameters(), case.beta2)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [case.drop], gamma=0.2)
    batch = (x[:64], y[:64])
    if kind == "sgdm":
        print(audit(model, batch))
    summaries = []
    with AngularMonitor(model, optimizer, len(x) // case.B, batch=batch, lags=(10,), every=5) as monitor:
        for step in range(1, case.steps + 1):
            pick = torch.randint(len(x), (case.B,))
            shift = torch.randint(-1, 2, (2,)).tolist()
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(torch.roll(x[pick], shift, (2, 3))), y[pick], label_smoothing=0.1)
            loss.backward()
            optimizer.step()
            schedule.step()
            if step in (case.drop, case.drop + case.after, case.steps):
                summaries.append(monitor.summary())
    return monitor, summaries


def main() -> int:
    """Run the optimizers on the images named; digits and both by default."""
    words = sys.argv[1:]
    name = words[1] if len(words) > 1 else "digits"
    kinds = words[2:] or list(OPTIMIZERS)
    if not words or name not in CASES or not set(kinds) <= set(OPTIMIZERS):
        say(f"usage: python -m validation.monitor_runs FOLDER [{'|'.join(CASES)} [{'|'.join(OPTIMIZERS)}]]")
        return BAD_INPUT
    folder = Path(words[0])
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    x, y = images(name)
    for kind in kinds:
        monitor, summaries = train(kind, CASES[name], x, y)
        for summary in summaries:
            print(summary)
        (folder / f"monitor-{name}-{kind}.json").write_text(
            json.dumps([s.to_json() for s in summaries], indent=1) + "\n"
        )
        monitor.plot().savefig(folder / f"monitor-{name}-{kind}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
