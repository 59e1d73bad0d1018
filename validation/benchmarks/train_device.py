"""Images a second of the trainer on a device, beside a plain PyTorch loop, and networks stacked beside one by one.

Everything is timed in turns after a first epoch that nobody counts (compilation, cuDNN's choices, workers that start),
with the device waited for at both ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from sde_si import HyperParameters
from validation.data import Images, load
from validation.train.job import Job
from validation.train.loop import Trainer

GOALS = {"images_per_second": 25_000, "over_plain_loop": 5, "stacked_over_one_by_one": 5}
AUGMENT = ("flip", "crop")


@dataclass(frozen=True)
class Size:
    """How large the benchmark is.

    Attributes
    ----------
    N, B, width : int
        Samples, batch and channels of the single network.
    stack, stack_N, stack_B, stack_width : int
        Networks side by side; their samples, batch and channels.
    blocks : tuple of int
    ghost : int
    """

    N: int
    B: int
    width: int
    stack: int
    stack_N: int
    stack_B: int
    stack_width: int
    blocks: tuple[int, ...]
    ghost: int


FULL = Size(51_200, 512, 64, 16, 12_800, 128, 16, (2, 2, 2, 2), 64)
TINY = Size(64, 32, 4, 2, 64, 32, 4, (1, 1), 16)  # to see that it works; its numbers mean nothing


class Samples(Dataset[tuple[Tensor, int]]):
    """The training set as a plain loop has it: one sample after another, turned and scaled in a worker.

    Parameters
    ----------
    images : Images
    """

    def __init__(self, images: Images) -> None:
        self.images, self.labels = torch.from_numpy(images.train), images.train_labels.astype(int).tolist()
        self.size = images.train.shape[-1]
        self.margin = self.size // 8
        mean, deviation = (f(images.train, (0, 2, 3), dtype=np.float64) for f in (np.mean, np.std))
        self.mean, self.deviation = (torch.tensor(v, dtype=torch.float32)[:, None, None] for v in (mean, deviation))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        row, column = torch.randint(0, 2 * self.margin + 1, (2,)).tolist()
        padded = F.pad(self.images[index], (self.margin,) * 4)
        image = padded[:, row : row + self.size, column : column + self.size]
        image = image.flip(-1) if torch.rand(()) < 0.5 else image
        return (image.float() - self.mean) / self.deviation, self.labels[index]


def plain_loop(job: Job, images: Images, workers: int) -> Callable[[], None]:
    """An epoch of the loop that one writes for PyTorch, with what its manual advises: call it to train one.

    The same network, batch, optimizer, augmentation, precision and compilation as `job`; workers that stay, pinned
    memory, copies that nobody waits for, channels last, a fused optimizer, and no look at the loss.
    """
    device, hp = torch.device(job.device), job.hyperparameters
    torch.manual_seed(0)
    model = job.build(images).to(device=device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    run = torch.compile(model) if job.compile else model
    optimizer = torch.optim.SGD(model.parameters(), hp.lr, hp.momentum, weight_decay=hp.wd, fused=True)
    loader = DataLoader(
        Samples(images), hp.B, shuffle=True, drop_last=True, num_workers=workers, pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
    )  # fmt: skip

    def epoch() -> None:
        for x, y in loader:
            x = x.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last)
            y = y.to(device, non_blocking=True)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=job.precision == "bf16"):
                loss = F.cross_entropy(run(x), y)
            loss.backward()
            optimizer.step()

    return epoch


def seconds(epoch: Callable[[], None], device: str) -> float:
    """Wall time of one epoch."""
    if device != "cpu":
        torch.cuda.synchronize()
    begin = time.perf_counter()
    epoch()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def in_turns(epochs: dict[str, Callable[[], None]], device: str, repeats: int) -> dict[str, list[float]]:
    """Seconds of an epoch of each, `repeats` times in turns, after one that is not counted."""
    took: dict[str, list[float]] = {name: [] for name in epochs}
    for repeat in range(repeats + 1):
        for name, epoch in epochs.items():
            value = seconds(epoch, device)
            if repeat:
                took[name].append(value)
    return took


def measure(size: Size, repeats: int, *, device: str, compiled: bool, precision: str) -> dict[str, Any]:
    """The three numbers of `GOALS`, with the times of every repeat; `repeats` epochs of each way."""
    options = {"network": "si-resnet18", "data": "synthetic", "device": device, "compile": compiled,
               "precision": precision, "blocks": size.blocks, "ghost": size.ghost, "augment": AUGMENT,
               "noise_batches": 0, "evaluate_every": 10**6}  # fmt: skip
    epochs = repeats + 2  # the last, which would be evaluated, is not trained
    images = load("synthetic", N=size.N)
    hp = HyperParameters(N=size.N, B=size.B, wd=1.6e-3, epochs=epochs)
    job = Job(hyperparameters=hp, width=size.width, **options)
    workers = min(os.cpu_count() or 1, 16)
    took = in_turns(
        {"trainer": Trainer(job, images, [0]).run_epoch, "plain loop": plain_loop(job, images, workers)},
        device,
        repeats,
    )
    done = size.N // size.B * size.B
    few = load("synthetic", N=size.stack_N)
    small = job.replace(hyperparameters=hp.replace(N=size.stack_N, B=size.stack_B), width=size.stack_width)
    stacked = in_turns(
        {
            "stacked": Trainer(small, few, list(range(size.stack))).run_epoch,
            "single": Trainer(small, few, [0]).run_epoch,  # each takes as long as the other
        },
        device, repeats,
    )  # fmt: skip
    rates = done / np.array(took["trainer"])
    over = np.array(took["plain loop"]) / took["trainer"]
    gain = size.stack * np.array(stacked["single"]) / stacked["stacked"]
    found = {"images_per_second": rates, "over_plain_loop": over, "stacked_over_one_by_one": gain}
    return {
        **{name: {"median": float(np.median(v)), "least": float(v.min()), "most": float(v.max()), "goal": GOALS[name]}
           for name, v in found.items()},
        "seconds": took | stacked, "loader_workers": workers, "size": vars(size) | {"blocks": list(size.blocks)},
    }  # fmt: skip
