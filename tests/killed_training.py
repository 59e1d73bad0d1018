"""Processes that train or save and are killed at a given moment, for tests/test_train_kills.py."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Self

import torch

from sde_si import disk
from validation.data import Images
from validation.train.job import Job
from validation.train.loop import Trainer

# while steps are made; while a state is put together; on its way to disk
PHASES = ("Trainer.run_epoch", "Trainer.save", "write_bytes")


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Moments:
    """Counts the calls and returns of functions inside each phase, those of C included, and kills at one of them.

    Parameters
    ----------
    phase : str or None
        One of `PHASES`; None: nothing is killed.
    at : int
        Number of the moment, from 1.
    module : str or None
        Only what functions of this file do, and those that they call.
    """

    def __init__(self, phase: str | None = None, at: int = 0, module: str | None = None) -> None:
        self.phase, self.at, self.module = phase, at, module
        self.depth, self.seen = dict.fromkeys(PHASES, 0), dict.fromkeys(PHASES, 0)

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_qualname
        if name in self.depth and event in ("call", "return"):
            self.depth[name] += 1 if event == "call" else -1
        if self.module:
            near = (frame, frame.f_back)
            if not any(one is not None and one.f_code.co_filename == self.module for one in near):
                return
        for phase, depth in self.depth.items():
            if depth:
                self.seen[phase] += 1
                if phase == self.phase and self.seen[phase] == self.at:
                    _kill()

    def watch(self, work: Callable[[], object]) -> None:
        """Do `work` and count."""
        sys.setprofile(self)
        try:
            work()
        finally:
            sys.setprofile(None)


def train(
    job: Job, images: Images, seeds: list[int], file: Path, phase: str | None, at: int, counts: Path | None = None
) -> None:
    """Go on from the state in `file`, if there is one, saving after every epoch; killed at a moment of a phase."""
    torch.set_num_threads(1)
    trainer, moments = Trainer(job, images, seeds), Moments(phase, at)
    trainer.run = partial(trainer.run, save_every=0.0)
    moments.watch(lambda: trainer.go_on(file, lambda _: None))
    if counts is not None:
        counts.write_text(json.dumps(moments.seen))


class _Half:
    """A file that is killed in the middle of being written."""

    def __init__(self, handle: int, _: str) -> None:
        self.handle = handle

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def write(self, content: bytes) -> None:
        os.write(self.handle, content[: len(content) // 2])
        _kill()


def _saved(trainer: Trainer, file: Path, at: int) -> int:
    """Save in a process of its own that is killed at a moment of the writing, 0: half-way; its exit code."""
    pid = os.fork()
    if not pid:
        if at == 0:
            os.fdopen = _Half  # pyright: ignore[reportAttributeAccessIssue]
        Moments("write_bytes", at, disk.__file__).watch(lambda: trainer.save(file))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die_while_saving(job: Job, images: Images, folder: Path) -> None:
    """Save a second state over a first one, killed at every step of the writing; what the file then holds.

    Writes ``[exit code, which]`` for each into ``folder/found.json``; which: old, new or other.
    """
    torch.set_num_threads(1)
    trainer, file = Trainer(job, images, [0]), folder / "state.pt"
    contents = []
    for _ in range(2):
        trainer.run_epoch()
        trainer.save(file)
        contents.append(file.read_bytes())
    found = []
    while not found or found[-1][0]:
        file.write_bytes(contents[0])
        code = _saved(trainer, file, len(found))
        now = file.read_bytes()
        found.append((code, "old" if now == contents[0] else "new" if now == contents[1] else "other"))
    (folder / "found.json").write_text(json.dumps(found))
