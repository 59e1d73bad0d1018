"""Trainings that are cut, stacked or shared among processes end the same."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

import small_training  # noqa: E402
from small_training import HP, small_job, trained  # noqa: E402

from sde_si.machine import usable_cores  # noqa: E402
from validation.train.many import _joined, forget, states, train  # noqa: E402

images = small_training.images


@pytest.mark.parametrize("cut", [1, 2])
def test_a_resumed_training_is_bit_identical(cut, images, tmp_path):
    job = small_job(HP.replace(epochs=4), precision="fp32", lags=(3, 12), augment=("shift",), optimizer="adamw")
    small_training.assert_resumed_alike(job, images, tmp_path / "s.pt", cut)


def test_stacked_networks_train_as_each_by_itself(images):
    job = small_job(HP.replace(epochs=2), network="si-convnet", width=4, augment=("flip",))
    together = trained(job, images, (3, 4)).results()
    for i, seed in enumerate((3, 4)):
        alone = trained(job, images, (seed,)).results()
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][i], values[0], rtol=1e-6, atol=1e-9, err_msg=name)


def test_processes_give_what_one_gives(images, tmp_path):
    job = small_job(HP.replace(epochs=1), seeds=2, precision="fp32")
    got, names, how = train(job, images, tmp_path, "0" * 64, stack=1, resume=False, progress=lambda _: None)
    assert names[-1] == "all"
    assert how["processes"] >= 1
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = trained(job, images, (1,)).results()
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(got["weight_norm"][1], alone["weight_norm"][0], rtol=1e-6)
    assert len(states(tmp_path, "0" * 64)) == 2, "they stay until the record is safe"
    # another start finds them, whatever a trial of stacking would say now or the user says, and trains nothing
    for stack in (None, 2):
        again, _, then = train(job, images, tmp_path, "0" * 64, stack=stack, resume=True, progress=lambda _: None)
        assert then["stack"] == 1
        np.testing.assert_array_equal(again["weight_norm"], got["weight_norm"])
    forget(tmp_path, "0" * 64)
    assert not list(tmp_path.iterdir())


def test_probes_that_some_networks_never_reached_are_nan():
    one = {"dead": np.array([-1]), "weight_norm": np.ones((1, 4, 2)), "response": np.ones((1, 2, 5))}
    two = {"dead": np.array([7, 9]), "weight_norm": np.ones((2, 1, 2))}
    for parts in ([one, two], [two, one]):
        joined = _joined(parts)
        assert joined["weight_norm"].shape == (3, 4, 2)
        assert joined["response"].shape == (3, 2, 5)
        assert np.isnan(joined["response"]).all(axis=(1, 2)).sum() == 2


def _workers(pid):
    """Processes that train for `pid`."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def _runs(pid):
    """Not of one that has ended and that nobody has asked about."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def _until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "took too long"
        time.sleep(0.1)


@pytest.mark.skipif(not Path("/proc/self/task").exists() or usable_cores() < 2, reason="needs /proc and two cores")
def test_a_killed_training_takes_its_processes_along(tmp_path):
    """Else they go on for hours and write the states that the resumed training goes on from."""
    words = "--network si-mlp --width 8 --data digits --N 160 --B 32 --epochs 1000000 --seeds 2 --stack 1 --quiet"
    command = [sys.executable, "-m", "validation.train", *words.split(), "--out", str(tmp_path)]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _until(lambda: len(_workers(running.pid)) == 2)
        found = _workers(running.pid)
    finally:
        running.kill()
        running.wait()
    _until(lambda: not any(map(_runs, found)), 20)
    assert not any(map(_runs, found))
