"""Trainings that are cut, stacked or shared among processes end the same."""

from __future__ import annotations

import contextlib
import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

import small_training  # noqa: E402
from small_training import HP, small_job, trained  # noqa: E402

from validation.train.loop import Trainer  # noqa: E402
from validation.train.many import train  # noqa: E402

images = small_training.images


@pytest.mark.parametrize("cut", [1, 2])
def test_a_resumed_training_is_bit_identical(cut, images, tmp_path):
    job = small_job(HP.replace(epochs=4), precision="fp32", lags=(3, 12), augment=("shift",), optimizer="adamw")
    straight = trained(job, images, (0, 1))
    first = Trainer(job, images, [0, 1])
    for _ in range(cut):
        first.run_epoch()
    first.save(tmp_path / "s.pt")
    second = Trainer(job, images, [0, 1])
    second.restore(tmp_path / "s.pt")
    while second.epoch < 4:
        second.run_epoch()
    assert torch.equal(second.stack.x, straight.stack.x)
    for name, values in straight.results().items():
        np.testing.assert_array_equal(second.results()[name], values, err_msg=name)


@pytest.mark.slow
def test_a_hundred_random_cuts_leave_no_trace(images, tmp_path):
    """Killed while it trains, anywhere: what was saved before goes on to the same weights and record, bit for bit."""
    rng = np.random.default_rng(int(os.environ.get("SDE_SI_SEED", "0")))
    straight = {}
    for cut in range(100):
        name = str(rng.choice(["sgd", "adam", "lion", "sgd-displacement"]))
        hp = HP.replace(epochs=4, schedule=str(rng.choice(["constant", "cosine"])))
        options = {"optimizer": name, "precision": "fp32", "lags": (3, 12), "augment": ("flip", "shift"),
                   "sampling": str(rng.choice(["replacement", "reshuffle"]))}  # fmt: skip
        job, file = small_job(hp, **options), tmp_path / f"{cut}.pt"
        key = (name, hp.schedule, options["sampling"])
        if key not in straight:
            straight[key] = trained(job, images, (0, 1))
        left = int(rng.integers(0, 4)) * 10 + int(rng.integers(0, 10))

        def killed(done, left=left):
            nonlocal steps
            steps += done
            if steps > left:
                raise KeyboardInterrupt

        steps = 0
        first = Trainer(job, images, [0, 1])
        with contextlib.suppress(KeyboardInterrupt):
            first.run(file, killed, save_every=0.0)
        second = Trainer(job, images, [0, 1])
        if file.exists():
            second.restore(file)
        second.run(tmp_path / "end.pt", lambda _: None, save_every=1e9)
        assert torch.equal(second.stack.x, straight[key].stack.x), (cut, key, left)
        for quantity, values in straight[key].results().items():
            np.testing.assert_array_equal(second.results()[quantity], values, err_msg=f"{cut} {key} {quantity}")


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
    assert not list(tmp_path.iterdir()), "the states of finished trainings are removed"
