"""Signal and noise as a training records them, against the exact moments of minibatch gradients at frozen weights."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from small_training import HP, small_job, trained  # noqa: E402

from validation.data import load  # noqa: E402
from validation.train.ends import measured  # noqa: E402
from validation.train.loop import Order, Trainer  # noqa: E402


def _mean_square(trainer, minibatches):
    """|mean|^2 and mean square of the gradients of all these minibatches (draw, B), by group, at the unit vector."""
    dots, x = trainer.stack.layout.dots, trainer.stack.x
    index = torch.tensor(minibatches)[None]
    order = Order(index, torch.zeros(*index.shape, 3, dtype=torch.int64), None, None)
    mean, square = torch.zeros_like(x), 0.0
    for i in range(len(minibatches)):
        gradient, _ = trainer.gradients(order, i)
        mean += gradient / len(minibatches)
        square = square + dots(gradient, gradient) / len(minibatches)
    radius = dots(x, x)
    return (dots(mean, mean) * radius)[0].numpy(), (square * radius)[0].numpy()


def _samples(job, images):
    """Signal and noise trace from the gradients of single samples: |mean|^2 and C/B (theory.md 0.7)."""
    trainer = Trainer(job, images, [0])
    signal, square = _mean_square(trainer, [[i] for i in range(job.hyperparameters.N)])
    # a minibatch's gradient is the mean of its samples' only where each is normalised by itself
    whole, _ = _mean_square(trainer, [list(range(job.hyperparameters.N))])
    np.testing.assert_allclose(whole, signal, rtol=1e-10)
    return signal, (square - signal) / job.hyperparameters.B


def _every_minibatch(job, images):
    """The same where samples are normalised by their minibatch: from all N^B minibatches with replacement."""
    hp = job.hyperparameters
    signal, square = _mean_square(Trainer(job, images, [0]), list(product(range(hp.N), repeat=hp.B)))
    return signal, square - signal


@pytest.mark.parametrize(
    ("norm", "N", "B", "noise_batches", "draws", "exactly", "sampling"),
    [
        ("layer", 160, 32, 2, 400, _samples, "replacement"),
        ("layer", 160, 32, 5, 200, _samples, "reshuffle"),  # measured all the same by minibatches of their own
        ("batch", 5, 4, 4, 400, _every_minibatch, "replacement"),
    ],
)  # fmt: skip
def test_signal_and_noise_are_the_moments_of_minibatch_gradients(
    norm, N, B, noise_batches, draws, exactly, sampling, one_thread
):  # fmt: skip
    """Each by itself, group by group, within 5 of its standard errors, and that is below 5 % (theory.md 7.6)."""
    images = load("digits", N=N)
    # a large eps: a minibatch of a few alike would else have most of the noise
    job = small_job(HP.replace(N=N, B=B), norm=norm, norm_eps=1.0, noise_batches=noise_batches, sampling=sampling,
                    evaluate_every=1000)  # fmt: skip
    trainer, exact = Trainer(job, images, [0]), exactly(job, images)
    found = [measured(trainer, HP.epochs + draw, B) for draw in range(draws)]
    for name, expected in zip(("signal", "noise_trace"), exact, strict=True):
        values = np.array([one[name][0] for one in found])
        error = values.std(0, ddof=1) / draws**0.5
        assert (error < 0.05 * expected).all(), f"{name}: too few to tell a wrong factor"
        assert (np.abs(values.mean(0) - expected) < 5 * error).all(), name


def test_the_gradients_of_a_training_have_signal_and_noise_together(one_thread):
    """The recorded mean square is that of the minibatches taken, E|g|^2 = G + tau, at weights that do not move."""
    images = load("digits", N=160)
    hp = HP.replace(lr=1e-12, wd=0.0, momentum=0.0, epochs=60)
    job = small_job(hp, norm="layer", noise_batches=0, sampling="replacement", evaluate_every=1000)
    values = trained(job, images).results()["gradient"][0]
    expected, error = sum(_samples(job, images)), values.std(0, ddof=1) / hp.epochs**0.5
    assert (error < 0.05 * expected).all()
    assert (np.abs(values.mean(0) - expected) < 5 * error).all()
