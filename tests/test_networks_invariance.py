"""What scale invariance gives, on networks, batches and scales that Hypothesis draws: float64, eps 0, every group."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402, N812

from validation.networks import build, scale_invariant_groups  # noqa: E402
from validation.train.flat import Layout, angle  # noqa: E402
from validation.train.optimizers import OPTIMIZERS, Setting  # noqa: E402

CLASSES = 4
SIZE = 6
BLOCKS = {"si-mlp": ((1,), (3,)), "si-convnet": ((2,), (3,)), "si-resnet18": ((1,), (1, 1), (2, 1)),
          "si-preact-resnet18": ((1,), (1, 1), (2, 1))}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def few_threads():
    """Networks this small only wait for other threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Case:
    """A network at some weights, with the gradients of minibatches there; vectors are laid out by `layout`."""

    def __init__(self, name, width, blocks, ghost, batch, draws, seed):
        torch.manual_seed(seed)
        options = {"channels": 2, "size": SIZE, "classes": CLASSES, "width": width, "blocks": blocks}
        self.model = build(name, ghost=ghost, eps=0.0, **options).double()
        self.layout = Layout(self.model, scale_invariant_groups(self.model))
        self.x = self.layout.pack(dict(self.model.named_parameters()), torch.float64)
        self.images = torch.randn(draws, batch, 2, SIZE, SIZE, dtype=torch.float64)
        self.labels = torch.randint(0, CLASSES, (draws, batch))

    @property
    def groups(self):
        """Number of groups; the layout has the whole last."""
        return int(self.layout.owner.max()) + 1

    def gradient(self, x, draw=0, **how):
        """Of one minibatch, at weights that need a gradient."""
        weights = {name: x[place].view(self.layout.shapes[name]) for name, place in self.layout.places.items()}
        logits = torch.func.functional_call(self.model, weights, (self.images[draw],))
        return torch.autograd.grad(F.cross_entropy(logits, self.labels[draw]), x, **how)[0]

    def gradients(self, x):
        """Of all minibatches, (draw, size)."""
        return torch.stack([self.gradient(x.clone().requires_grad_(), i) for i in range(len(self.images))])

    def by_group(self, a, b):
        """Inner products of each group, without that of the whole."""
        return self.layout.dots(a, b)[..., : self.groups]

    def lengths(self, a):
        return self.by_group(a, a).sqrt()


@st.composite
def cases(draw, draws=1):
    name = draw(st.sampled_from(sorted(BLOCKS)))
    width = draw(st.integers(2, 6))
    blocks = draw(st.sampled_from(BLOCKS[name]))
    batch = draw(st.integers(3, 16))
    # a chunk of one sample would have no variance after pooling
    ghost = draw(st.sampled_from([g for g in (0, 4, 8) if g == 0 or batch % g == 0]))
    return Case(name, width, blocks, ghost, batch, draws, draw(st.integers(0, 2**31)))


@given(cases())
def test_gradients_are_orthogonal_to_weights_and_the_hessian_takes_the_weights_to_them(case):
    """<x, g> = 0 and H x = -g in each group, for the rows of H that belong to other groups, too (theory.md 0.4).

    Differentiated, <x_a, g_a> = 0 says g + H x_a = 0 on group a, and H x_a = 0 on all the others.
    """
    x = case.x.clone().requires_grad_()
    g = case.gradient(x, create_graph=True)
    length, size = case.lengths(g.detach()), float(g.detach().norm())
    assert (case.by_group(case.x, g.detach()).abs() <= 1e-11 * length * case.lengths(case.x) + 1e-14).all()
    for group in range(case.groups):
        mine = case.layout.owner == group
        here = torch.where(mine, case.x, 0.0)
        (turned,) = torch.autograd.grad(g, x, here, retain_graph=True)
        expected = torch.where(mine, -g.detach(), 0.0)
        assert float((turned - expected).norm()) <= 1e-8 * size


@given(cases(), st.data())
def test_gradients_shrink_as_their_group_grows(case, data):
    """g(a x) = g(x)/a where every group has a scale of its own: others' scales do not count (theory.md 0.4, 15.1)."""
    scales = [2.0 ** data.draw(st.floats(-6, 6)) for _ in range(case.groups)]
    by_entry = torch.tensor(scales, dtype=torch.float64)[case.layout.owner]
    before = case.gradient(case.x.clone().requires_grad_())
    after = case.gradient((case.x * by_entry).requires_grad_())
    assert (case.lengths(before) > 0).all()
    apart = case.lengths(after * by_entry - before)
    assert (apart <= 1e-8 * case.lengths(before) + 1e-12 * float(before.norm())).all()


@given(cases(draws=4))
def test_the_noise_has_no_part_along_the_weights(case):
    """Sigma x = 0 in each group: the covariance of minibatch gradients, each normalised by its own batch."""
    noise = case.gradients(case.x)
    noise = noise - noise.mean(0)
    sigma_x = torch.zeros(case.groups, dtype=torch.float64)
    for group in range(case.groups):
        here = torch.where(case.layout.owner == group, case.x, 0.0)
        sigma_x[group] = (noise.T @ (noise @ here)).norm() / (len(noise) - 1)
    trace = float(noise.square().sum()) / (len(noise) - 1)
    assert trace > 0
    assert (sigma_x <= 1e-11 * trace * case.lengths(case.x)).all()


@given(cases(), st.floats(-4, 1), st.floats(0, 0.5))
def test_a_step_turns_each_group_by_what_its_gradient_says(case, lr_power, decay):
    """tan(angle) = lr |g~|/((1 - lr wd) R), g~ the gradient at the unit vector; R grows by it (theory.md 1.1, 1.2).

    Per group and for all groups together: each keeps its own length, and together they are one invariant vector.
    """
    lr = 10.0**lr_power
    g, x = case.gradient(case.x.clone().requires_grad_()), case.x.clone()
    OPTIMIZERS["sgd"].update(x, [torch.zeros_like(x)], g, Setting(lr, decay / lr, 0.0, 0.0, 0.0, 1))
    dots = case.layout.dots
    square, moved = dots(case.x, case.x), x - case.x
    turned = angle(square, dots(case.x, moved), dots(moved, moved))
    at_unit = (dots(g, g) * square).sqrt()
    expected = torch.atan(lr * at_unit / ((1 - decay) * square))
    torch.testing.assert_close(turned, expected, rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(dots(x, x), (1 - decay) ** 2 * square + lr**2 * at_unit**2 / square, rtol=1e-10, atol=0)
    assert math.isclose(
        float(turned[-1].cos()), (1 - decay) * float((square[-1] / dots(x, x)[-1]).sqrt()), rel_tol=1e-10
    )
