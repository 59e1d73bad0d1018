"""What the confinement law leaves unexplained: the ways of measuring agree where they must."""

from __future__ import annotations

import dataclasses

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
    job = Job(network="si-mlp", width=12, blocks=(2,), data="digits", hyperparameters=hp, precision="fp64",
              sampling="replacement", noise_batches=0, evaluate_every=4)  # fmt: skip
    trainer = Trainer(job, load("digits", N=hp.N), [3])
    for _ in range(3):
        trainer.run_epoch()
    return suspects.Checkpoint(trainer, DELAYS)


def test_a_small_kick_is_answered_by_the_hessians(place, monkeypatch):
    """To first order in the kick and in lr the training's response is that of the minibatch Hessians (theory.md 18.8).

    Compared is what curvature takes away: at a small lr the weights stay where the Hessians were taken, and what is
    left of a kick is nearly all of it, whatever the Hessians. At lr = .01 the two differ by 3 % after one step, here by
    .1 %.
    """
    slow = place.hp.replace(lr=1e-4)
    monkeypatch.setattr(place, "hp", slow)
    monkeypatch.setattr(place, "setting", dataclasses.replace(place.setting, lr=slow.lr))
    kicked, size = place.kicked(1e-3)
    free = [1.0, 1 + slow.momentum - slow.intrinsic_lr]
    while len(free) < DELAYS:
        free.append((1 + slow.momentum - slow.intrinsic_lr) * free[-1] - slow.momentum * free[-2])
    taken = np.array(free) - place.frozen()
    assert taken[1] > 10 * slow.intrinsic_lr, "curvature, not decay, is what is seen"
    np.testing.assert_allclose(np.array(free) - kicked, taken, rtol=0.003, atol=1e-12)
    _, whole = place.kicked()
    assert size == pytest.approx(1e-6 * whole)


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


def test_an_error_is_that_of_the_scatter_over_places():
    values = np.random.default_rng(0).normal(size=(5, 3))
    mean, error = suspects._with_error(lambda places: values[places].mean(0), 5)
    np.testing.assert_allclose(mean, values.mean(0))
    np.testing.assert_allclose(error, values.std(0, ddof=1) / 5**0.5)


def test_all_suspects_are_measured(monkeypatch):
    """Places in equilibrium or not: every way of measuring begins with the step that decay alone decides."""
    monkeypatch.setattr(suspects, "SETTLE", 2)
    monkeypatch.setattr(suspects, "APART", 1)
    monkeypatch.setattr(suspects, "QUADRATURES", {"few": (2, 3)})
    hp = HyperParameters(N=256, B=32, lr=0.01, wd=0.1, momentum=0.0, epochs=9)
    job = Job(network="si-mlp", width=12, blocks=(2,), data="digits", hyperparameters=hp, precision="fp64",
              sampling="replacement", noise_batches=0, evaluate_every=9)  # fmt: skip
    found = suspects.suspects(job, [1, 2, 5], 3, quiet=True)
    names = {"response", "response to a tenth of a kick", "response, frozen", "few", "few, negative kept"}
    assert found["versines"].keys() == found["errors"].keys() == names
    assert 0 <= found["negative share"]["few"] < 1
    for name in names:
        value, error = (np.array(found[kind][name]) for kind in ("versines", "errors"))
        assert value[0] == pytest.approx(hp.intrinsic_lr), name
        assert error[0] < 1e-9, name
        assert (np.diff(value) > 0).all(), name
        assert (error[1:] > 0).all(), name
