"""The training of a stack of networks: one epoch after another, resumable, measured."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sde_si.errors import DiskProblem
from sde_si.record import write_bytes
from sde_si.schedules import Timetable
from sde_si.streams import DATA, generator
from validation.data import Batches, Images, order
from validation.train.checks import check_stack
from validation.train.ends import measured
from validation.train.job import Job
from validation.train.meter import Meter
from validation.train.optimizers import OPTIMIZERS, Linear, Setting
from validation.train.stack import Stack

Array = np.ndarray
TRAINING = 0  # what minibatches are for: each purpose has streams of its own
LAYERS = 3  # what the extra stream of random numbers is for


@dataclass(frozen=True)
class Order:
    """Minibatches of every path, a draw each; None: nothing of the kind is drawn.

    Attributes
    ----------
    indices : Tensor of int, shape (path, draws, B)
    moves : Tensor of int, shape (path, draws, B, 3)
    mix : Tensor or None, shape (path, draws)
        Share of the first image of every pair (mixup).
    shares : Tensor or None, shape (path, draws, buffer, 2)
        What a random network draws.
    layers : ndarray of int or None, shape (path, draws)
        Seeds of torch's generator, from which random layers of a foreign network draw.
    """

    indices: Tensor
    moves: Tensor
    mix: Tensor | None
    shares: Tensor | None
    layers: Array | None = None


class Trainer:
    """Trains the networks of some of a job's seeds.

    Parameters
    ----------
    job : Job
    images : Images
    seeds : sequence of int
        Networks trained here, side by side.
    teacher : Stack, optional
        Trained networks that set a share of the targets, one for each seed.
    """

    def __init__(self, job: Job, images: Images, seeds: list[int], teacher: Stack | None = None) -> None:
        self.job, self.seeds, self.habits = job, seeds, job.habits(images)
        check_stack(job, images, len(seeds))
        device = torch.device(job.device)
        self.batches = Batches(images.train, images.train_labels, augment=job.augment, device=device, dtype=job.dtype)
        self.test = Batches(images.test, images.test_labels, device=device, dtype=job.dtype)
        self.test.mean, self.test.deviation = self.batches.mean, self.batches.deviation
        self.stack = Stack(
            lambda: job.build(images), seeds, device=device, dtype=job.dtype, groups=job.groups(images),
            half=job.precision == "bf16", compiled=job.compile, smoothing=job.tricks.label_smoothing,
            moving=self.habits.moving,
        )  # fmt: skip
        self.optimizer = OPTIMIZERS[job.optimizer]
        self.timetable = Timetable(job.hyperparameters)
        self.state = [torch.zeros_like(self.stack.x) for _ in range(self.optimizer.slots)]
        self.meter = Meter(self.stack.layout, job.lags, self._linear())
        self.epoch = 0
        self.more: dict[str, list[Array]] = {}
        self.dead = np.full(len(seeds), -1)
        if job.effective_lr is not None:
            self._start_on_one_sphere(images)
        self.classes, self.teacher = images.classes, teacher
        self.plain = self.stack.layout.plain.to(device)
        self.owner = self.stack.layout.owner.to(device)
        self.average = job.tricks.average(None, self.stack.x)
        self.fixed = self.stack.layout.dots(self.stack.x, self.stack.x)  # squared norms that a constraint keeps

    def orders(
        self, epoch: int, B: int, draws: int, purpose: int = TRAINING, *, independent: bool = False
    ) -> Order:  # fmt: skip
        """The minibatches of one epoch; `independent` ones are drawn with replacement, however the job samples."""
        key, N = (epoch, purpose), self.batches.N
        sampling = "replacement" if independent else self.job.sampling
        indices = [torch.from_numpy(order(seed, key, N, B, draws, sampling)) for seed in self.seeds]
        moves = [self.batches.moves(seed, key, (draws, B)) for seed in self.seeds]
        mix = self.job.tricks.mixed(self.seeds, key, draws)
        shares = self.stack.shares(self.seeds, key, draws)
        layers = None
        if self.habits.random:
            layers = np.stack([generator(seed, DATA, *key, LAYERS).integers(0, 2**62, draws) for seed in self.seeds])
        return Order(torch.stack(indices).to(self.stack.device), torch.stack(moves), mix, shares, layers)

    def gradients(self, order: Order, at: int) -> tuple[Tensor, Tensor]:
        """Gradients and losses of one minibatch of each path."""
        index, moves = order.indices[:, at], order.moves[:, at]
        images, labels = self.batches.batch(index.flatten(), moves.flatten(0, 1))
        images, labels = images.unflatten(0, index.shape), labels.view(index.shape)
        if order.mix is not None:
            images, labels = self.job.tricks.mix(images, labels, order.mix[:, at], self.classes)
        if order.shares is not None:
            self.stack.set_shares(order.shares[:, at])
        with self._drawing(order, at):
            if self.teacher is not None:
                labels = self.job.tricks.distilled(labels, self.teacher.logits(images))
            return self.stack.gradients(images, labels)

    @contextlib.contextmanager
    def _drawing(self, order: Order, at: int) -> Iterator[None]:
        """Inside, random layers draw what (seed, epoch, minibatch) say: a training that goes on draws the same."""
        if order.layers is None:
            yield
            return
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if self.stack.device.type == "cuda" else []):
            torch.manual_seed(int(order.layers[0, at]))  # of the one path: such networks are not stacked
            yield

    def run_epoch(self) -> None:
        """One epoch."""
        job, epoch = self.job, self.epoch
        lr, momentum = self.timetable.lr_and_momentum(epoch)
        n, B = int(self.timetable.steps[epoch]), int(self.timetable.batch[epoch])
        first, draws = int(self.timetable.start[epoch]), 2 * job.svag if job.svag > 1 else 1
        order = self.orders(epoch, B, n * draws)
        x = self.stack.x
        # read once: from an accelerator it would wait for every step before
        self.squared = float(self.fixed[0, -1])
        if job.rescale and epoch and lr[0] > 0:
            self._rescale(float(self.timetable.lr_and_momentum(epoch - 1)[0][-1]) / float(lr[0]))
        self.meter.begin(x, self.state, epoch, first)
        for k in range(n):
            rates = self._lr(lr[k]), job.hyperparameters.wd, float(momentum[k])
            setting = Setting(*rates, *job.extras, first + k + 1)
            before = x.clone()
            for part in range(job.svag):
                gradient, loss = self._draw(order, k * draws + 2 * part)
                gradient = job.tricks.gradient(gradient, x, rates[1], self.plain)
                if part == 0:
                    self.meter.gradient(x, gradient, rates)
                self.optimizer.update(x, self.state, gradient, replace(setting, lr=setting.lr / job.svag))
            if job.effective_lr is not None:
                self._project(x)
            self.average = job.tricks.average(self.average, x)
            self.meter.step(before, x, loss, middle=k + 1 == (n + 1) // 2)
        losses = self.meter.end(x)
        self._check(losses, first)
        for name, values in measured(self, epoch, B).items():
            self.more.setdefault(name, []).append(np.asarray(values, dtype=np.float64))
        self.epoch += 1

    def _draw(self, order: Order, at: int) -> tuple[Tensor, Tensor]:
        """Gradient and loss of one minibatch; of two in SVAG (theory.md 4.1)."""
        gradient, loss = self.gradients(order, at)
        if self.job.svag == 1:
            return gradient, loss
        root = (2 * self.job.svag - 1) ** 0.5
        second, other = self.gradients(order, at + 1)
        return gradient * ((1 + root) / 2) + second * ((1 - root) / 2), (loss + other) / 2

    def _linear(self) -> Linear | None:
        """The optimizer's linear map for the split 1.11; None where a step is not that map alone."""
        alone = self.job.svag == 1 and self.job.effective_lr is None
        return self.optimizer.linear if alone else None

    def _lr(self, scheduled: float) -> float:
        """The step's learning rate; at a fixed effective one, that times the squared length."""
        fixed = self.job.effective_lr
        if fixed is None:
            return float(scheduled)
        return float(scheduled / self.job.hyperparameters.lr) * fixed * self.squared

    def _start_on_one_sphere(self, images: Images) -> None:
        """Scale every network to the length of the first seed's: one effective learning rate is then one lr."""
        layout, x = self.stack.layout, self.stack.x
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.job.seed)
            first = layout.pack(dict(self.job.build(images).named_parameters()), x.dtype).to(x.device)
        scale = (layout.dots(first, first)[-1] / layout.dots(x, x)[:, -1]).sqrt()
        x[:, : layout.invariant] *= scale[:, None].to(x.dtype)

    def _project(self, x: Tensor) -> None:
        """Back onto the sphere of the start: of all groups together, or of each."""
        layout = self.stack.layout
        now = layout.dots(x, x)
        scale = (self.fixed / now).sqrt()
        factor = scale[:, self.owner] if self.job.constraint == "groups" else scale[:, -1:]
        x[:, : layout.invariant] *= factor.to(x.dtype)

    def _rescale(self, drop: float) -> None:
        """Lengths of the equilibrium at the new lr, the old one over `drop` (theory.md 6.5)."""
        power = self.optimizer.memory_power
        if drop in (0, 1) or power is None:
            return
        invariant = self.stack.layout.invariant
        self.stack.x[:, :invariant] *= drop**-0.25
        for memory in self.state:
            memory[:, :invariant] *= drop**power

    def _check(self, losses: Array, first: int) -> None:
        """Note the step at which a path ceased to be finite."""
        norms = self.meter.results["weight_norm"][-1]
        for p in range(len(self.seeds)):
            if self.dead[p] < 0 and not (np.isfinite(losses[p]).all() and np.isfinite(norms[p]).all()):
                bad = np.flatnonzero(~np.isfinite(losses[p]))
                self.dead[p] = first + (int(bad[0]) if bad.size else losses.shape[1] - 1)

    def run(self, file: Path, progress: Callable[[int], None], *, save_every: float = 30.0) -> None:
        """Train to the end, saving the state to `file` from time to time; it ends early if every path diverged."""
        saved = time.monotonic()
        while self.epoch < self.job.hyperparameters.epochs and (self.dead < 0).any():
            self.run_epoch()
            progress(int(self.timetable.steps[self.epoch - 1]) * len(self.seeds))
            if time.monotonic() - saved >= save_every:
                self.save(file)
                saved = time.monotonic()

    def go_on(self, file: Path, progress: Callable[[int], None]) -> None:
        """Train to the end from the state in `file`, if there is one, and save it there."""
        if file.exists():
            self.restore(file)
            progress(int(self.timetable.start[self.epoch]) * len(self.seeds))
        self.run(file, progress)
        self.save(file)

    def save(self, file: Path) -> None:
        """Write all that going on bit-identically needs."""
        content = {
            "epoch": self.epoch,
            "x": self.stack.x,
            "state": self.state,
            "meter": self.meter.state(),
            "more": {k: [torch.from_numpy(v) for v in values] for k, values in self.more.items()},
            "dead": torch.from_numpy(self.dead),
            "fixed": self.fixed,
            "average": self.average,
            "moved": self.stack.moved(),
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_bytes(buffer.getvalue(), file)

    def restore(self, file: Path) -> None:
        """Go on from `file`.

        Raises
        ------
        DiskProblem
            If it is damaged.
        """
        try:
            content = torch.load(file, map_location=self.stack.device, weights_only=True)
            self.stack.x.copy_(content["x"])
            for mine, other in zip(self.state, content["state"], strict=True):
                mine.copy_(other)
            self.meter.restore(content["meter"])
            self.average = content["average"]
            self.stack.move(content["moved"])
        except Exception as error:
            raise DiskProblem(f"{file} is damaged, or no state of this training; remove it and run again") from error
        self.epoch, self.dead, self.fixed = content["epoch"], content["dead"].cpu().numpy(), content["fixed"]
        self.more = {k: [v.cpu().numpy() for v in values] for k, values in content["more"].items()}

    def results(self) -> dict[str, Array]:
        """Everything measured, (path, epoch, ...)."""
        more = {name: np.stack(values, 1) for name, values in self.more.items()}
        return self.meter.arrays() | more | {"initial": self.meter.initial, "dead": self.dead}
