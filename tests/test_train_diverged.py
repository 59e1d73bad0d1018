"""Trainings that diverge while probes are on: they end cleanly, with nan for what is lost."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

import small_training  # noqa: E402
from small_training import HP, small_job, trained  # noqa: E402

from sde_si.record import load  # noqa: E402
from validation.train import ends  # noqa: E402
from validation.train.cli import main  # noqa: E402
from validation.train.curvature import lanczos, noise_spectrum  # noqa: E402
from validation.train.ends import measured  # noqa: E402
from validation.train.response import responses  # noqa: E402

images = small_training.images
pytestmark = pytest.mark.usefixtures("one_thread", "few")
PROBES = {"curvature": 1, "response": 1, "lags": (1, 4)}


@pytest.fixture
def few(monkeypatch):
    """Few minibatches for the probes: what they find is not looked at here."""
    for name, value in (("PRODUCTS", 3), ("HESSIAN_BATCHES", 4), ("TWINS", 1), ("WAYS", 1), ("LOSS_BATCHES", 2)):
        monkeypatch.setattr(ends, name, value)


def test_probes_of_a_diverged_training_are_recorded_as_nan_and_it_exits_with_3(tmp_path, capsys):
    """In the very epoch of the divergence, which has a checkpoint here."""
    words = "--network resnet18 --width 4 --blocks 1 --data digits --N 160 --B 32 --lr 1e20 --wd 0 --epochs 1 --quiet"
    probes = "--lags 1,4 --curvature 1 --response 1 --no-figure --json"
    assert main([*words.split(), *probes.split(), "--out", str(tmp_path)]) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["diverged"][0]["step"] < 10
    record = load(tmp_path / found["record"])
    for name in ("curvature", "curvature_weight", "response", "kick_size", "asymmetry"):
        assert np.isnan(record[name].values).all(), name


@pytest.mark.parametrize("weights", ["nan", "finite"])
def test_the_probes_of_the_living_are_those_without_the_dead(weights, images):
    """A loss that was infinite once is a divergence, even if the weights are finite still."""
    job = small_job(HP.replace(epochs=1), **PROBES)
    both, alone = trained(job, images, (0, 1)), trained(job, images, (1,))
    for trainer in (both, alone):  # beside the same weights, since stacked ones differ in the last digit
        trainer.stack.x[-1] = alone.stack.x[0]
        trainer.state[0][-1] = alone.state[0][0]
    if weights == "nan":
        both.stack.x[0] = torch.nan
    both.dead[0] = 3
    one, other = measured(both, 0, HP.B), measured(alone, 0, HP.B)
    for name in ("curvature", "curvature_weight", "response", "kick_size", "asymmetry"):
        assert np.isnan(one[name][0]).all(), name
        np.testing.assert_allclose(one[name][1], other[name][0], rtol=1e-9, err_msg=name)
        assert np.isfinite(one[name][1]).all(), name


def test_what_is_not_finite_has_no_spectrum():
    """Overflow in a product alone, of a network that still lives."""
    nodes, weights = lanczos(lambda v: v * torch.inf, torch.ones(5, dtype=torch.float64), 4)
    assert np.isnan(nodes).all()
    assert np.isnan(weights).all()

    def loss(x, i):  # at 0: a finite gradient, no second derivative
        return (x**1.5).sum() + i * x[0]

    x = torch.zeros(3, dtype=torch.float64)
    found = noise_spectrum(loss, x, 2, vectors=1, products=3)
    assert [part.shape for part in found] == [(3,), (3,)]
    assert np.isnan(found).all()
    fine = noise_spectrum(lambda x, i: (x**2).sum() + i * x[0], x, 2, vectors=1, products=3)
    assert np.isfinite(fine).all()


def test_no_kick_has_no_response():
    """At a learning rate of 0, where a schedule ends."""
    x = torch.ones(4, dtype=torch.float64)
    found, size = responses(lambda *_: None, x, [], 3, 4, twins=2)
    assert np.isnan(found).all()
    assert size == 0
