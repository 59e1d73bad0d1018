"""Networks of others (timm:NAME): running statistics, random layers, double precision, resuming."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

import small_training  # noqa: E402
from small_training import HP, small_job, trained  # noqa: E402
from torch import nn  # noqa: E402

from sde_si.errors import BadInput  # noqa: E402
from validation.networks import habits, measured_groups  # noqa: E402
from validation.train import many  # noqa: E402
from validation.train.cli import main  # noqa: E402
from validation.train.loop import Trainer  # noqa: E402

images = small_training.images
pytestmark = pytest.mark.usefixtures("one_thread")
MOVING = ("1.running_mean", "1.running_var", "1.num_batches_tracked")


def _net(in_chans, num_classes, dropout):
    """As a model of timm's: batch norm with running statistics, dropout, a trained last layer."""
    return nn.Sequential(
        nn.Conv2d(in_chans, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Dropout(dropout), nn.Linear(96, num_classes),
    )  # fmt: skip


@pytest.fixture
def timm(monkeypatch):
    """A package of that name with two models."""
    made = types.ModuleType("timm")
    rates = {"calm": 0.0, "random": 0.4}
    made.is_model = rates.__contains__
    made.create_model = lambda name, num_classes, in_chans: _net(in_chans, num_classes, rates[name])
    monkeypatch.setitem(sys.modules, "timm", made)
    monkeypatch.setattr(many, "usable_cores", lambda: 1)  # other processes would not have it


def foreign(name="random", hp=HP, **options):
    options = {"precision": "fp32", "width": None, "blocks": None, "norm_eps": 1e-5} | options
    return small_job(hp, network=f"timm:{name}", **options)


def test_what_a_network_does_beside_computing_is_found():
    batch = torch.randn(8, 1, 8, 8)
    for rate in (0.0, 0.4):
        model = _net(1, 10, rate).eval()
        before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
        found = habits(model, batch)
        assert found.moving == MOVING
        assert found.random == (rate > 0)
        assert not model.training
        measured_groups(model.train(), batch)
        assert torch.equal(torch.get_rng_state(), state)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    still = habits(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), batch)
    assert still.alone == ""


def test_weights_and_running_statistics_are_those_of_a_plain_loop(timm, images):
    """The batches that tell signal from noise, drawn at the end of an epoch, leave no trace."""
    trainer = Trainer(foreign("calm", HP.replace(epochs=2), noise_batches=3), images, [0])
    reference = _net(1, 10, 0.0)
    reference.load_state_dict(trainer.stack.layout.views(trainer.stack.x[0].clone()) | trainer.stack.moved()[0])
    optimizer = torch.optim.SGD(reference.parameters(), HP.lr, HP.momentum, weight_decay=HP.wd)
    for epoch in range(2):
        order = trainer.orders(epoch, HP.B, 5)
        for k in range(5):
            x, y = trainer.batches.batch(order.indices[0, k], order.moves[0, k])
            optimizer.zero_grad()
            nn.functional.cross_entropy(reference(x), y).backward()
            optimizer.step()
        trainer.run_epoch()
    mine = trainer.stack.layout.views(trainer.stack.x[0]) | trainer.stack.buffers[0]
    assert int(mine[MOVING[2]]) == 10
    for name, value in reference.state_dict().items():
        torch.testing.assert_close(mine[name], value, rtol=1e-4, atol=1e-5)


def test_the_first_seed_is_started_as_the_others_are(timm, images):
    """Finding its scale-invariant weights, which runs it, changes nothing."""
    for seed in (0, 1):
        trainer = Trainer(foreign(), images, [seed])
        assert int(trainer.stack.buffers[0][MOVING[2]]) == 0
        assert trainer.stack.layout.names == ["all"]


def test_a_resumed_training_is_bit_identical_with_statistics_and_dropout(timm, images, tmp_path):
    job = foreign(hp=HP.replace(epochs=3), evaluate_every=1)
    straight = trained(job, images)
    first = Trainer(job, images, [0])
    first.run_epoch()
    first.save(tmp_path / "s.pt")
    torch.manual_seed(987)  # another process has another generator
    second = Trainer(job, images, [0])
    second.restore(tmp_path / "s.pt")
    while second.epoch < 3:
        second.run_epoch()
    assert torch.equal(second.stack.x, straight.stack.x)
    for name in MOVING:
        assert torch.equal(second.stack.buffers[0][name], straight.stack.buffers[0][name]), name
    for name, values in straight.results().items():
        np.testing.assert_array_equal(second.results()[name], values, err_msg=name)
    other = trained(job.replace(seed=5), images, (0,))
    assert torch.equal(other.stack.x, straight.stack.x), "what is dropped depends on the network's own seed alone"


def test_dropout_drops_anew_in_every_minibatch(timm, images):
    trainer = Trainer(foreign(hp=HP.replace(N=160)), images, [0])
    order = trainer.orders(0, HP.B, 4)
    order.indices[0, 1], order.moves[0, 1] = order.indices[0, 0], order.moves[0, 0]
    gradients = [trainer.gradients(order, at)[0] for at in (0, 1, 0)]
    assert torch.equal(gradients[0], gradients[2])
    assert not torch.allclose(gradients[0], gradients[1], rtol=1e-2)


@pytest.mark.parametrize(
    ("name", "said"), [("calm", "running statistics, got 2"), ("random", "statistics and random layers")]
)
def test_such_networks_are_not_stacked(name, said, timm, images, tmp_path):
    job = foreign(name, HP.replace(epochs=1), seeds=2)
    with pytest.raises(BadInput, match=f"1 for a network with .*{said}"):
        Trainer(job, images, [0, 1])
    got, _, how = many.train(job, images, tmp_path, "0" * 64, stack=None, resume=False, progress=lambda _: None)
    assert how == {"processes": 1, "stack": 1}
    for seed in (0, 1):
        alone = trained(job, images, (seed,)).results()
        np.testing.assert_array_equal(got["weight_norm"][seed], alone["weight_norm"][0])
        np.testing.assert_array_equal(got["test_loss"][seed], alone["test_loss"][0])


@pytest.mark.parametrize("precision", ["fp64", "bf16"])
def test_command_line(precision, timm, tmp_path, capsys):
    words = "--network timm:random --data digits --N 160 --B 32 --epochs 1 --seeds 2 --quiet --no-figure"
    words = [*words.split(), "--out", str(tmp_path), "--precision", precision]
    assert main(words) == 0
    assert "rms angle per step" in capsys.readouterr().out
    assert main([*words, "--stack", "2", "--fresh"]) == 2
    assert "1 for a network with running statistics and random layers" in capsys.readouterr().err
    assert main([*words, "--curvature", "1"]) == 2
    assert "draws nothing at random" in capsys.readouterr().err


@pytest.mark.slow
def test_a_model_of_timm_trains(images):
    pytest.importorskip("timm")
    job = small_job(HP.replace(epochs=2), network="timm:mobilenetv3_small_050", precision="fp32", norm_eps=1e-5,
                    width=None, blocks=None)  # fmt: skip
    job.check(images)
    trainer = trained(job, images)
    assert trainer.habits.moving
    assert (trainer.dead == -1).all()
    assert np.isfinite(trainer.results()["test_loss"][:, -1]).all()
