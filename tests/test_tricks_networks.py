"""Tricks within a network: shaken branches, weight norm, ResNet-B."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

import small_training  # noqa: E402
from small_tricks import job_of, trained  # noqa: E402

from sde_si.errors import BadInput  # noqa: E402
from validation.networks.layers import Shares  # noqa: E402
from validation.train.loop import Order, Trainer  # noqa: E402

images = small_training.images

SHAKE = {"network": "si-shake-resnet18", "width": 4, "blocks": (1, 1), "ghost": 16}


def test_shares_mix_values_and_gradients_apart():
    layer = Shares()
    layer.shares = torch.tensor([0.2, 0.9])
    first, second = (torch.full((3,), v, requires_grad=True) for v in (2.0, 5.0))
    got = layer(first, second)
    torch.testing.assert_close(got.detach(), torch.full((3,), 0.2 * 2 + 0.8 * 5))
    a, b = torch.autograd.grad(got.sum(), (first, second))
    torch.testing.assert_close((a, b), (torch.full((3,), 0.9), torch.full((3,), 0.1)))
    torch.testing.assert_close(layer.eval()(first, second).detach(), torch.full((3,), 3.5))


def test_shares_are_drawn_for_every_minibatch_from_the_seed_and_the_epoch(images):
    one, both = Trainer(job_of(**SHAKE), images, [1]), Trainer(job_of(**SHAKE), images, [0, 1])
    for epoch in (0, 3):
        drawn = both.orders(epoch, 32, 5).shares
        assert drawn.shape == (2, 5, 2, 2)
        assert len(set(drawn.flatten().tolist())) == drawn.numel()
        assert torch.equal(drawn[1:, :3], one.orders(epoch, 32, 3).shares)
    order = one.orders(0, 32, 2)
    same = Order(order.indices[:, :1].repeat(1, 2, 1), order.moves[:, :1].repeat(1, 2, 1, 1), None, order.shares)
    (_, loss), (_, other) = (one.gradients(same, at) for at in (0, 1))
    assert abs(float(loss - other)) > 1e-6
    side_by_side = both.gradients(both.orders(0, 32, 2), 0)[0][1]
    torch.testing.assert_close(side_by_side, one.gradients(order, 0)[0][0], rtol=1e-8, atol=1e-10)
    with pytest.raises(BadInput, match="network"):
        job_of(**SHAKE, curvature=1).check(images)


def test_a_random_network_obeys_the_exact_laws_and_its_evaluation_draws_nothing(images):
    trainer = trained(images, job_of(**SHAKE))
    got = trainer.results()
    parts = sum(got[f"split_{name}"] for name in ("decay", "velocity", "drift"))
    assert np.abs(parts - np.cos(got["angle_epoch"])).max() < 1e-9
    assert got["radial_gradient"].max() < 1e-13
    chunk = [(trainer.test.scaled(trainer.test.images[:50]), trainer.test.labels[:50])]
    calibration = [trainer.batches.scaled(trainer.batches.images[:32])]
    before = trainer.stack.evaluate(calibration, chunk)
    trainer.gradients(trainer.orders(9, 32, 1), 0)
    assert trainer.stack.evaluate(calibration, chunk) == before


def test_weight_norm_normalises_every_filter(images):
    network = {"network": "si-resnet18", "width": 4, "blocks": (1, 1), "norm": "weight"}
    model = job_of(**network).build(images).double()
    conv, x = model.stem, torch.randn(3, 1, 8, 8, dtype=torch.float64)
    filters = torch.nn.functional.conv2d(x, conv.weight, padding=1) / conv.weight.flatten(1).norm(dim=1)[:, None, None]
    torch.testing.assert_close(conv(x), filters)
    logits = model(x)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 1 + torch.rand(len(parameter), dtype=torch.float64)[:, None, None, None]
    torch.testing.assert_close(model(x), logits)
    got = trained(images, job_of(**network)).results()
    assert got["radial_gradient"].max() < 1e-13
    affine = job_of(network="resnet18", width=4, blocks=(1, 1), norm="weight").build(images)
    scale, shift = affine.norm.weight, affine.norm.bias
    assert torch.equal(affine.norm(torch.ones(2, 4, 3, 3)), (scale + shift)[:, None, None].expand(2, 4, 3, 3))
    with pytest.raises(BadInput, match="norm"):
        job_of(network="fixup-resnet18", norm="weight").build(images)


def test_resnet_b_throws_no_pixel_away(images):
    """With the stride in a 1x1 convolution three quarters of the pixels reach only the shortcut's filters, never."""
    x = torch.rand(16, 16, 4, 4)
    for name, reached in (("si-resnet50", 4), ("si-resnet50-b", 16)):
        model = job_of(network=name, width=4, blocks=(1, 1), ghost=0).build(images).float()
        block = model.stages[1]
        at = x.clone().requires_grad_()
        y = block.norm2(block.conv2(block.norm1(block.conv1(at))))
        (gradient,) = torch.autograd.grad((y * torch.rand_like(y)).sum(), at)
        assert block(x).shape == (16, 32, 2, 2)
        assert int((gradient.abs().sum((0, 1)) > 1e-9).sum()) == reached
