"""Probes beside a training: curvature and responses."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

import small_training  # noqa: E402
from small_training import HP, small_job, trained  # noqa: E402

from sde_si.errors import BadInput  # noqa: E402
from validation.train import ends  # noqa: E402
from validation.train.curvature import lanczos, noise_spectrum  # noqa: E402
from validation.train.loop import Trainer  # noqa: E402
from validation.train.optimizers import OPTIMIZERS, Setting  # noqa: E402
from validation.train.response import LOSS_BATCHES, WAYS, asymmetry, responses  # noqa: E402
from validation.train.tricks import Tricks  # noqa: E402

images = small_training.images


def test_lanczos_quadrature_is_exact_for_polynomials():
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(30, 30, dtype=torch.float64, generator=generator)
    matrix, start = root + root.T, torch.randn(30, dtype=torch.float64, generator=generator)
    unit = start / start.norm()
    nodes, weights = lanczos(lambda v: matrix @ v, start, 6)
    for power in range(12):
        want = float(unit @ torch.linalg.matrix_power(matrix, power) @ unit)
        assert np.sum(weights * nodes**power) == pytest.approx(want, rel=1e-8)
    want = float(unit @ torch.linalg.matrix_power(matrix, 12) @ unit)
    assert np.sum(weights * nodes**12) != pytest.approx(want, rel=1e-6)


def test_the_noise_spectrum_is_that_of_the_hessian(images):
    """Against the whole Hessian and covariance of a small network."""
    trainer = Trainer(small_job(width=4, blocks=(1,)), images, [0])
    order = trainer.orders(0, 32, 6)
    drawn = [trainer.batches.batch(order.indices[0, i], order.moves[0, i]) for i in range(6)]

    def loss(x, i):
        return trainer.stack.loss(x, 0, *drawn[i])

    x = trainer.stack.x[0]
    nodes, weights = noise_spectrum(loss, x, 4, vectors=2, products=30)
    whole = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(sum(loss(whole, i) for i in range(4)) / 4, whole, create_graph=True)
    trained_entries = [j for place in trainer.stack.layout.places.values() for j in range(place.start, place.stop)]
    hessian = torch.zeros(x.numel(), x.numel(), dtype=x.dtype)
    for j in trained_entries:
        (hessian[j],) = torch.autograd.grad(slope[j], whole, retain_graph=True)
    leaf = x.clone().requires_grad_()
    gradients = torch.stack([torch.autograd.grad(loss(leaf, i), leaf)[0] for i in range(6)])
    noise = gradients[4:] - gradients[:4].mean(0)
    unit = noise / noise.norm(dim=1, keepdim=True)
    for f in (lambda m: m, lambda m: m @ m):
        want = float(torch.einsum("bi,ij,bj->b", unit, f(hessian), unit).mean())
        power = 1 if f(torch.eye(1) * 2).item() == 2 else 2
        assert np.sum(weights * nodes**power) == pytest.approx(want, rel=1e-6)
    assert weights.sum() == pytest.approx(1)


def test_curvature_is_recorded_at_its_checkpoints(images, monkeypatch):
    monkeypatch.setattr(ends, "HESSIAN_BATCHES", 3)
    monkeypatch.setattr(ends, "PRODUCTS", 6)
    job = small_job(HP.replace(epochs=4), curvature=2)
    assert job.checkpoints(2) == [3, 2]
    got = trained(job, images, (0, 1)).results()
    assert got["curvature"].shape == got["curvature_weight"].shape == (2, 2, 2 * 6)
    np.testing.assert_allclose(got["curvature_weight"].sum(-1), 1)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_twins_follow_the_kick_of_their_other_minibatch(momentum):
    """On a quadratic loss: <d, h_j(H) d>/|d|^2 for the difference d of the two gradients, step by step."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(6, 6, dtype=torch.float64, generator=generator)
    H, noise = matrix @ matrix.T, torch.randn(20, 6, dtype=torch.float64, generator=generator)
    setting = Setting(0.02, 0.1, momentum, 0.0, 0.0, 1)

    def step(x, state, i):
        OPTIMIZERS["sgd"].update(x, state, H @ x + noise[i], setting)

    x = torch.randn(6, dtype=torch.float64, generator=generator)
    found, size = responses(step, x, [torch.zeros_like(x)], 15, 6, twins=3)
    kicks, before = (noise[15:18] - noise[0]).T, torch.zeros(6, 3, dtype=torch.float64)
    now, want = kicks, []
    for _ in range(15):
        want.append(float((kicks * now).sum() / (kicks * kicks).sum()))
        now, before = (1 + momentum - 0.02 * 0.1) * now - 0.02 * H @ now - momentum * before, now
    np.testing.assert_allclose(found, want, rtol=1e-10)
    assert size == pytest.approx(0.02**2 * float((kicks**2).sum()) / 6)


def test_the_asymmetry_of_a_way_is_what_is_not_quadratic():
    """sum c_i x_i^3/6 and a quadratic form: <d, g + g'> - 2 (L' - L) = sum c_i d_i^3/6, whatever the form."""
    generator = torch.Generator().manual_seed(0)
    root, cubic = (torch.randn(*shape, dtype=torch.float64, generator=generator) for shape in ((6, 6), (3, 6)))
    moves = torch.randn(20, 6, dtype=torch.float64, generator=generator)

    def slope(x, i):  # the minibatches, after the 20 of the moves, differ in their cubic part
        c = cubic[i - 20]
        return root @ root.T @ x + c * x**2 / 2, float(x @ root @ root.T @ x / 2 + (c * x**3).sum() / 6)

    def step(x, state, i):
        x += moves[i]

    x = torch.randn(6, dtype=torch.float64, generator=generator)
    found = asymmetry(step, slope, x.clone(), [], [1, 4, 10], 6, ways=2, batches=3)
    want = [
        np.mean([float((cubic.mean(0) * moves[10 * way :][:lag].sum(0) ** 3).sum()) / 6 for way in range(2)])
        for lag in (1, 4, 10)
    ]
    np.testing.assert_allclose(found, want, rtol=1e-9)
    # entries beyond `size` are moved along but not part of the way
    part = asymmetry(step, lambda y, _: (torch.ones_like(y), float(y[:4].sum())), x, [], [3], 4, ways=1, batches=1)
    np.testing.assert_allclose(part, 0, atol=1e-12)


def test_responses_are_recorded_at_their_checkpoints(images):
    job = small_job(HP.replace(epochs=4), response=2, lags=(1, 7))
    got = trained(job, images, (0, 1)).results()
    assert got["response"].shape == (2, 2, 7)
    np.testing.assert_allclose(got["response"][:, :, 0], 1)
    assert got["kick_size"].shape == (2, 2)
    assert got["asymmetry"].shape == (2, 2, 2)
    assert np.isfinite(got["asymmetry"]).all()
    assert np.ptp(got["response"][:, :, -1]) > 0
    # They are measured beside the training, which goes on as if they were not.
    alone = trained(job.replace(response=0), images, (0, 1)).results()
    np.testing.assert_array_equal(got["angle_step"], alone["angle_step"])
    np.testing.assert_array_equal(got["signal"], alone["signal"])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_recorded_asymmetry_is_minus_lr_over_the_squared_length(images, momentum):
    """Of the last checkpoint, trained again by hand from the weights and the memory of the end."""
    hp, lags = HP.replace(epochs=2, momentum=momentum), (2, 5)
    job = small_job(hp, response=1, lags=lags)
    trainer = trained(job, images)
    drawn = trainer.orders(1, hp.B, WAYS * lags[-1] + LOSS_BATCHES, ends.ASYMMETRY)
    start, memory = trainer.stack.x[0].clone(), trainer.state[0][0].clone()
    size = trainer.stack.layout.invariant

    def slope(at, i):
        x = at.clone().requires_grad_()
        loss = trainer.stack.loss(x, 0, *trainer.batches.batch(drawn.indices[0, i], drawn.moves[0, i]))
        return torch.autograd.grad(loss, x)[0], loss.item()

    def mean(at):
        found = [slope(at, WAYS * lags[-1] + i) for i in range(LOSS_BATCHES)]
        return torch.stack([g for g, _ in found]).mean(0), np.mean([loss for _, loss in found])

    want = np.zeros((WAYS, len(lags)))
    (before, height), square = mean(start), float(start[:size] @ start[:size])
    for way in range(WAYS):
        x, velocity = start.clone(), memory.clone()
        for j in range(lags[-1]):
            velocity = momentum * velocity + slope(x, way * lags[-1] + j)[0] + hp.wd * x
            x = x - hp.lr * velocity
            if j + 1 in lags:
                after, level = mean(x)
                work = float(((x - start) * (before + after))[:size].sum()) - 2 * (level - height)
                want[way, lags.index(j + 1)] = -hp.lr * work / square
    got = trainer.results()["asymmetry"]
    assert got.shape == (1, 1, 2)
    np.testing.assert_allclose(got[0, 0], want.mean(0), rtol=1e-7)


@pytest.mark.parametrize(
    "options",
    [{}, {"lags": (1,)}, *({"lags": (1, 5)} | more for more in (
        {"optimizer": "lion"}, {"optimizer": "nesterov"}, {"tricks": Tricks(clip=1.0)},
        {"tricks": Tricks(no_bias_decay=True)},
    ))],
)  # fmt: skip
def test_responses_need_lags_and_plain_sgd(options):
    with pytest.raises(BadInput, match="response"):
        small_job(response=1, **options)
