"""What the confinement law leaves unexplained: the ways of measuring agree where they must."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from sde_si import HyperParameters
from validation import suspects
from validation.data import load
from validation.train.job import Job
from validation.train.loop import Trainer

DELAYS = 6


@pytest.fixture(scope="module", params=[0.0, 0.9])
def place(request):
    """A network in float64 after three epochs, by momentum."""
    mu = request.param
    hp = HyperParameters(N=256, B=32, lr=0.01, wd=0.16 * (1 - mu), momentum=mu, epochs=4)
    job = Job(network="si-mlp", width=12, blocks=[2], data="digits", hyperparameters=hp, precision="fp64",
              sampling="replacement", noise_batches=0, evaluate_every=4)  # fmt: skip
    trainer = Trainer(job, load("digits", N=hp.N), [3])
    for _ in range(3):
        trainer.run_epoch()
    return suspects.Checkpoint(trainer, DELAYS)


def test_a_small_kick_is_answered_by_the_hessians(place):
    """To first order in the kick the training's response is that of the frozen minibatch Hessians (theory.md 18.8)."""
    kicked, size = place.kicked(1e-4)
    # The weights move on by a few steps, and the Hessians are those of where the kick fell.
    np.testing.assert_allclose(kicked, place.frozen(), rtol=0.08)
    _, whole = place.kicked()
    assert size == pytest.approx(1e-8 * whole)


def test_measuring_leaves_no_trace(place):
    before = place.x.clone(), [s.clone() for s in place.state]
    place.kicked()
    place.frozen()
    place.spectrum(2, 3)
    assert (place.x == before[0]).all()
    assert all((now == then).all() for now, then in zip(place.state, before[1], strict=True))


def test_the_spectrum_is_one_of_shares(place):
    nodes, shares = place.spectrum(4, 6)
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
    assert np.isfinite(nodes).all()
