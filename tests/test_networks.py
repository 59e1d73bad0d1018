"""Real networks: scale invariance to rounding, ghost batch norm against its loop, evaluation."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from sde_si.errors import BadInput  # noqa: E402
from validation.networks import (  # noqa: E402
    NETWORKS,
    GhostNorm,
    build,
    calibrated,
    ghost_norm,
    measured_groups,
    scale_invariant_groups,
)

RESIDUAL = {"width": 4, "blocks": (1, 1)}
SMALL = {
    "si-densenet100": {"width": 4, "blocks": (2, 1)},
    "si-resnet18": RESIDUAL,
    "resnet18": RESIDUAL,
    "si-resnet18-d": RESIDUAL,
    "se-resnet": RESIDUAL,
    "si-preact-resnet18": RESIDUAL,
    "fixup-resnet18": RESIDUAL,
}
NORMALISED = [name for name, entry in NETWORKS.items() if not entry.control]


def small(name, **more):
    torch.manual_seed(0)
    options = {"channels": 2, "size": 8, "classes": 5, "width": 6, "ghost": 8, "eps": 0.0} | SMALL.get(name, {}) | more
    return build(name, **options).double()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(16, 2, 8, 8, dtype=torch.float64, generator=generator)
    return images, torch.randint(0, 5, (16,), generator=generator)


def gradients(model, weights, images, labels, **how):
    logits = torch.func.functional_call(model, weights, (images,))
    return torch.autograd.grad(F.cross_entropy(logits, labels), list(weights.values()), **how)


@pytest.mark.parametrize("name", NORMALISED)
def test_every_group_is_scale_invariant_and_the_hessian_knows_it(name, batch):
    """<x, g> = 0, g(ax) = g(x)/a, H x = -g (theory.md 0.4), group by group."""
    model = small(name)
    groups = scale_invariant_groups(model)
    weights = dict(model.named_parameters())
    found = dict(zip(weights, gradients(model, weights, *batch, create_graph=True), strict=True))
    for names in groups.values():
        x, g = ([of[n] for n in names] for of in (weights, found))
        size = sum(float((v.detach() ** 2).sum()) for v in g) ** 0.5
        inner = sum((a * b).sum() for a, b in zip(x, g, strict=True))
        assert abs(float(inner.detach())) < 1e-12 * size * sum(float((v.detach() ** 2).sum()) for v in x) ** 0.5
        # d/dx <x, g> = g + H x = 0
        both = torch.autograd.grad(inner, x, retain_graph=True)
        assert sum(float((v**2).sum()) for v in both) ** 0.5 < 1e-9 * size
        scaled = {n: (3.0 * w if n in names else w) for n, w in weights.items()}
        scaled = {n: w.detach().requires_grad_() for n, w in scaled.items()}
        other = dict(zip(scaled, gradients(model, scaled, *batch), strict=True))
        for n in names:
            assert torch.allclose(other[n], found[n].detach() / 3, rtol=1e-9, atol=1e-12 * size)


@pytest.mark.parametrize("name", [n for n in NETWORKS if n.startswith("si-")])
def test_a_scale_invariant_network_trains_nothing_else(name):
    model = small(name)
    declared = {n for names in scale_invariant_groups(model).values() for n in names}
    assert declared == dict(model.named_parameters()).keys()


@pytest.mark.parametrize("name", NORMALISED)
def test_groups_found_by_trying_are_those_declared_of_one_weight(name, batch):
    model = small(name)
    declared = {names[0] for names in scale_invariant_groups(model).values() if len(names) == 1}
    assert {names[0] for names in measured_groups(model, batch[0]).values()} == declared


@pytest.mark.parametrize("norm", ["layer", "group"])
def test_other_normalisations_keep_every_convolution_invariant(norm, batch):
    model = small("si-resnet18", width=8, norm=norm)
    assert not any(isinstance(module, GhostNorm) for module in model.modules())
    declared = {names[0] for names in scale_invariant_groups(model).values()}
    assert {names[0] for names in measured_groups(model, batch[0]).values()} == declared
    # samples are normalised by themselves
    whole = model(batch[0])
    assert torch.allclose(model(batch[0][:3]), whole[:3], atol=1e-12)


def test_without_normalisation_nothing_is_invariant(batch):
    model = small("fixup-resnet18")
    assert scale_invariant_groups(model)
    assert measured_groups(model, batch[0]) == {}


def test_what_has_no_effect_at_the_start_is_tried_elsewhere():
    """A block whose last gain starts at 0, as timm's do: its convolution seemed invariant, and so did one after it."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4)
    nn.init.zeros_(norm.weight)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 3))
    model.unused = nn.Linear(3, 3)
    assert measured_groups(model, torch.randn(8, 1, 8, 8)) == {"0": ["0.weight"]}


def test_a_plain_last_layer_is_not_scale_invariant(batch):
    model = small("resnet18")
    weights = dict(model.named_parameters())
    found = dict(zip(weights, gradients(model, weights, *batch), strict=True))
    inner = float((weights["head.weight"] * found["head.weight"]).detach().sum())
    assert abs(inner) > 1e-3


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("samples", [8, 16, 21])
def test_ghost_norm_is_the_loop_over_chunks(memory, samples):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(samples, 3, 5, 5, generator=generator).to(memory_format=memory).requires_grad_()
    out = ghost_norm(x, 8, None, None, 1e-5)
    loop = torch.cat([F.batch_norm(c, None, None, training=True, eps=1e-5) for c in x.split(8)])
    direction = torch.randn(out.shape, generator=generator)
    assert torch.allclose(out, loop, atol=1e-6)
    one, two = (torch.autograd.grad((y * direction).sum(), x, retain_graph=True)[0] for y in (out, loop))
    assert torch.allclose(one, two, atol=1e-6)


def test_ghost_norm_differs_from_the_whole_batch():
    x = torch.randn(16, 3, 5, 5, generator=torch.Generator().manual_seed(3))
    assert not torch.allclose(ghost_norm(x, 8, None, None, 1e-5), ghost_norm(x, 0, None, None, 1e-5), atol=1e-3)


def test_evaluation_does_not_depend_on_the_batch_and_leaves_no_trace(batch):
    model, (images, _) = small("si-resnet18"), batch
    before = model(images)
    with calibrated(model, [images]):
        whole = model(images)
        parts = torch.cat([model(part) for part in images.split(5)])
    assert torch.allclose(whole, parts, atol=1e-12)
    assert torch.equal(model(images), before)


def test_eps_breaks_invariance_as_it_grows(batch):
    """Relative orthogonality error about eps/(r^2 var) (theory.md 15.5)."""
    errors = []
    for eps in (1e-6, 1e-4, 1e-2):
        model = small("si-mlp", eps=eps)
        weights = dict(model.named_parameters())
        found = gradients(model, weights, *batch)
        inner = sum(float((w.detach() * g).sum()) for w, g in zip(weights.values(), found, strict=True))
        errors.append(abs(inner))
    assert errors[1] / errors[0] == pytest.approx(100, rel=0.1)
    assert errors[2] / errors[1] == pytest.approx(100, rel=0.5)


@pytest.mark.parametrize(
    ("name", "options"),
    [("nonsense", {}), ("si-convnet", {"blocks": (2, 2)}), ("si-resnet18", {"size": 4, "blocks": (1, 1, 1, 1)})],
)
def test_bad_networks_are_refused(name, options):
    with pytest.raises(BadInput):
        small(name, **options)
