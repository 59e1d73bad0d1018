"""Trainings killed by SIGKILL, inside a step, while a state is made or written, go on to the same end bit for bit."""

from __future__ import annotations

import json
import multiprocessing
import os
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

import killed_training  # noqa: E402
import small_training  # noqa: E402
from killed_training import PHASES  # noqa: E402
from small_training import HP, small_job, trained  # noqa: E402

from validation.train.loop import Trainer  # noqa: E402

images = small_training.images
KILLED = -9
pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")


@pytest.fixture(scope="module")
def start():
    """Starts a process of a function: forked from one that has the modules, but has trained nothing and has no threads.

    A fork of this one would have lost torch's own threads.
    """
    context = multiprocessing.get_context("forkserver")
    # torch imports the last one at the first vmap: most moments of a training would else lie in that import
    context.set_forkserver_preload(["validation.train.loop", "sklearn.datasets", "torch._dynamo"])

    def begin(function, *arguments):
        process = context.Process(target=function, args=arguments)
        process.start()
        return process

    return begin


def _job(optimizer, schedule, sampling):
    return small_job(
        HP.replace(epochs=4, schedule=schedule), optimizer=optimizer, precision="fp32", lags=(3, 12),
        augment=("flip", "shift"), sampling=sampling,
    )  # fmt: skip


def _same(trainer, straight, note):
    assert torch.equal(trainer.stack.x, straight.stack.x), note
    for one, other in zip(trainer.state, straight.state, strict=True):
        assert torch.equal(one, other), note
    found = trainer.results()
    for name, values in straight.results().items():
        np.testing.assert_array_equal(found[name], values, err_msg=f"{name}: {note}")


def _killed_until(cuts, start, images, folder, rng, *, outside):
    """Trainings, each killed and started again until it is left to end, up to so many kills in all; by phase."""
    left: dict[str, int] = dict.fromkeys((*PHASES, "from outside"), 0)
    number = 0
    while sum(left.values()) < cuts:
        choice = [str(rng.choice(of)) for of in (("sgd", "adam", "lion", "sgd-displacement"), ("constant", "cosine"),
                                                 ("replacement", "reshuffle"))]  # fmt: skip
        job, file, counts = _job(*choice), folder / f"{number}.pt", folder / f"{number}.json"
        begin = time.monotonic()
        whole = start(killed_training.train, job, images, [0, 1], folder / f"whole{number}.pt", None, 0, counts)
        whole.join()
        seconds = time.monotonic() - begin
        assert whole.exitcode == 0
        moments, places = json.loads(counts.read_text()), []
        while not places or places[-1][0] == KILLED:
            phase = [*left][(sum(left.values()) + number) % (len(left) if outside else len(PHASES))]
            inside = phase in moments
            at = int(rng.integers(1, moments[phase] + 1)) if inside else 0
            process = start(killed_training.train, job, images, [0, 1], file, phase if inside else None, at)
            process.join(None if inside else rng.uniform(0, seconds))
            if not inside:
                process.kill()
                process.join()
            places.append((process.exitcode, phase, at))
            left[phase] += process.exitcode == KILLED
            assert process.exitcode in (0, KILLED)
        second = Trainer(job, images, [0, 1])
        second.restore(file)
        assert second.epoch == 4
        _same(second, trained(job, images, (0, 1)), f"{choice} {places}")
        number += 1
    return left


def test_a_killed_training_leaves_no_trace(start, images, tmp_path, one_thread):
    left = _killed_until(3, start, images, tmp_path, np.random.default_rng(0), outside=False)
    assert min(left[phase] for phase in PHASES) >= 1


@pytest.mark.slow
def test_a_hundred_random_kills_leave_no_trace(start, images, tmp_path, seed, one_thread):
    """Killed anywhere: what was saved before goes on to the same weights and record, bit for bit."""
    left = _killed_until(100, start, images, tmp_path, np.random.default_rng(seed), outside=True)
    assert min(left[phase] for phase in PHASES) >= 10
    assert left["from outside"] >= 1


def test_a_state_is_the_old_or_the_new_one_at_every_step_of_its_writing(start, images, tmp_path):
    process = start(killed_training.die_while_saving, _job("adam", "cosine", "reshuffle"), images, tmp_path)
    process.join()
    assert process.exitcode == 0
    codes, which = zip(*json.loads((tmp_path / "found.json").read_text()), strict=True)
    assert len(codes) > 20
    assert codes == (KILLED,) * (len(codes) - 1) + (0,), "the last one was left to end"
    which = list(which)
    changed = which.index("new")
    assert which[0] == "old", "killed half-way through"
    assert which == ["old"] * changed + ["new"] * (len(which) - changed)
