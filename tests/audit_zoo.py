# ruff: noqa: E501  (a table of networks)
"""Networks whose scale-invariant parameters are known, for tests of the audit."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class Build(nn.Module):
    """Modules by name and a function of them: networks in a line each."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            if isinstance(part, nn.Parameter):
                self.register_parameter(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def par(*shape):
    return nn.Parameter(torch.randn(*shape))


def standardised(w, eps=0.0):
    return (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + eps)


def std_norm(x, eps=1e-6):
    """Layer norm as it is often written by hand: eps beside the root."""
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + eps)


def norm_and(other):
    """A norm and, beside it, something that sees the scale of the same weights."""
    return Build(lambda m, x: std_norm(m.a(x)) + other(m.a(x)), a=LIN())


def tied():
    one, two = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
    two.weight = one.weight
    return Build(
        lambda m, x: m.n(m.two(torch.relu(m.n(m.one(x))))),
        one=one,
        two=two,
        n=nn.LayerNorm(6, elementwise_affine=False),
    )


def untied_use():
    """The same weight once before a norm and once as the last layer: not invariant."""
    one, two = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
    two.weight = one.weight
    return Build(
        lambda m, x: m.two(torch.relu(m.n(m.one(x)))), one=one, two=two, n=nn.LayerNorm(6, elementwise_affine=False)
    )


def pre_norm(m, x):
    h = m.embed(x)
    for a, b in ((m.a1, m.b1), (m.a2, m.b2)):
        h = h + b(torch.relu(a(m.norm(h))))
    return m.norm(h)


def attention(m, x):
    q, k, v = m.q(x), m.k(x), m.v(x)
    if m.unit:
        q, k = F.normalize(q, dim=-1) * 4, F.normalize(k, dim=-1)
    return torch.softmax(q @ k.transpose(-1, -2), -1) @ v


def ghost(m, x):
    return torch.cat([m.n(m.l(part)) for part in x.chunk(4)])


def zero_last():
    """A residual branch that starts at zero: invisible at the start, and still no invariance of its last weight."""
    return Build(lambda m, x: x + m.gain * m.l(x), l=nn.Linear(6, 6, bias=False), gain=nn.Parameter(torch.zeros(())))


def lstm(m, x):
    return m.n(m.r(x)[0])


X = (16, 6)
IMAGE = (8, 2, 6, 6)
TOKENS = (4, 5, 6)
LN = lambda d=6, affine=False: nn.LayerNorm(d, elementwise_affine=affine)  # noqa: E731
BN1 = lambda d=6, affine=False, eps=1e-5: nn.BatchNorm1d(d, affine=affine, eps=eps)  # noqa: E731
LIN = lambda bias=False: nn.Linear(6, 6, bias=bias)  # noqa: E731

# name -> (network, input shape, {parameter: level}); parameters that are not named are of level "none"
ZOO = {
    "no norm at all": (lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), X, {}),
    "rectifiers without norm": (lambda: nn.Sequential(LIN(), nn.ReLU(), LIN(), nn.ReLU(), LIN()), X, {}),
    "batch norm": (lambda: nn.Sequential(LIN(), BN1(), nn.Linear(6, 3)), X, {"0.weight": "filter"}),
    "bias before batch norm": (lambda: nn.Sequential(LIN(True), BN1(), nn.Linear(6, 3)), X, {"0.weight": "filter", "0.bias": "no effect"}),
    "affine then linear": (lambda: nn.Sequential(LIN(), BN1(affine=True), nn.Linear(6, 3)), X, {"0.weight": "filter"}),
    "affine then rectifier and norm": (
        lambda: nn.Sequential(LIN(), BN1(affine=True), nn.ReLU(), LIN(), BN1()), X,
        {"0.weight": "filter", "1.weight": "joint", "1.bias": "joint", "3.weight": "filter"},
    ),
    "affine then saturation and norm": (
        lambda: nn.Sequential(LIN(), BN1(affine=True), nn.Tanh(), LIN(), BN1()), X, {"0.weight": "filter", "3.weight": "filter"},
    ),
    "layer norm": (lambda: nn.Sequential(LIN(), LN(), nn.Linear(6, 3)), X, {"0.weight": "layer"}),
    "bias before layer norm": (lambda: nn.Sequential(LIN(True), LN(), nn.Linear(6, 3)), X, {"0.weight": "joint", "0.bias": "joint"}),
    "rms norm": (lambda: nn.Sequential(LIN(), nn.RMSNorm(6, elementwise_affine=False), nn.Linear(6, 3)), X, {"0.weight": "layer"}),
    "group norm": (lambda: nn.Sequential(nn.Conv2d(2, 6, 3, bias=False), nn.GroupNorm(2, 6, affine=False), nn.Flatten()), IMAGE, {"0.weight": "layer"}),
    "group norm of single channels": (
        lambda: nn.Sequential(nn.Conv2d(2, 6, 3, bias=False), nn.GroupNorm(6, 6, affine=False), nn.Flatten()), IMAGE, {"0.weight": "filter"},
    ),
    "instance norm": (lambda: nn.Sequential(nn.Conv2d(2, 6, 3), nn.InstanceNorm2d(6), nn.Flatten()), IMAGE, {"0.weight": "filter", "0.bias": "no effect"}),
    "transposed convolution": (lambda: nn.Sequential(nn.ConvTranspose2d(2, 6, 3, bias=False), nn.BatchNorm2d(6, affine=False), nn.Flatten()), IMAGE, {"0.weight": "filter"}),
    "depthwise convolution": (
        lambda: nn.Sequential(nn.Conv2d(2, 4, 3, groups=2, bias=False), nn.BatchNorm2d(4, affine=False), nn.Flatten()), IMAGE, {"0.weight": "filter"},
    ),
    "weight norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(LIN()), nn.Tanh(), LIN()), X,
        {"0.parametrizations.weight.original1": "filter"},
    ),
    "weight norm before batch norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(LIN()), BN1()), X,
        {"0.parametrizations.weight.original0": "no effect", "0.parametrizations.weight.original1": "filter"},
    ),
    "spectral norm": (lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(LIN()), nn.Tanh()), X, {"0.parametrizations.weight.original": "layer"}),
    "weight standardisation": (
        lambda: Build(lambda m, x: torch.tanh(F.conv2d(x, standardised(m.w))), w=par(4, 2, 3, 3)), IMAGE, {"w": "filter"},
    ),
    "tied before norms": (tied, X, {"one.weight": "layer"}),
    "tied to the last layer": (untied_use, X, {}),
    "last layer fixed by normalised outputs": (
        lambda: Build(lambda m, x: F.normalize(m.a(torch.tanh(m.b(x))), dim=-1), a=LIN(), b=LIN()), X, {"a.weight": "layer"},
    ),
    "cosine head": (
        lambda: Build(lambda m, x: F.normalize(x, dim=-1) @ F.normalize(m.w, dim=0), w=par(6, 3)), X, {"w": "filter"},
    ),
    "residual join": (
        lambda: Build(lambda m, x: m.n(m.a(x) + m.b(torch.tanh(x))), a=LIN(), b=LIN(), n=LN()), X, {"a.weight": "joint", "b.weight": "joint"},
    ),
    "residual join of inputs": (lambda: Build(lambda m, x: m.n(x + m.b(torch.tanh(x))), b=LIN(), n=LN()), X, {}),
    "residual join with batch norms": (
        lambda: Build(lambda m, x: m.n(m.n1(m.a(x)) + m.n2(m.b(x))), a=LIN(), b=LIN(), n1=BN1(affine=True), n2=BN1(affine=True), n=BN1()), X,
        {"a.weight": "filter", "b.weight": "filter", "n1.bias": "no effect", "n2.bias": "no effect", "n1.weight": "joint", "n2.weight": "joint"},
    ),
    "residual stream": (
        lambda: Build(pre_norm, embed=LIN(), a1=LIN(), b1=LIN(), a2=LIN(), b2=LIN(), norm=LN()), X, None,
    ),
    "attention": (lambda: Build(attention, q=LIN(), k=LIN(), v=LIN(), unit=False), TOKENS, {}),
    "attention with QK norm": (lambda: Build(attention, q=LIN(), k=LIN(), v=LIN(), unit=True), TOKENS, {"q.weight": "layer", "k.weight": "layer"}),
    "attention, key bias": (lambda: Build(attention, q=LIN(True), k=LIN(True), v=LIN(), unit=False), TOKENS, {"k.bias": "no effect"}),
    "squeeze and excitation": (
        lambda: Build(lambda m, x: m.n(m.a(x) * torch.sigmoid(m.s(x))), a=LIN(), s=LIN(), n=LN()), X, {"a.weight": "layer"},
    ),
    "gated linear unit": (lambda: Build(lambda m, x: m.n(m.a(x) * m.s(x)), a=LIN(), s=LIN(), n=LN()), X, {"a.weight": "layer", "s.weight": "layer"}),
    "dropout": (lambda: nn.Sequential(LIN(), BN1(), nn.Dropout(0.5), LIN()), X, {"0.weight": "filter"}),
    "dropout before norm": (lambda: nn.Sequential(LIN(), nn.Dropout(0.5), BN1(), LIN()), X, {"0.weight": "filter"}),
    "ghost batch norm": (lambda: Build(ghost, l=LIN(), n=BN1()), X, {"l.weight": "filter"}),
    "frozen batch norm": (lambda: nn.Sequential(LIN(), BN1().eval(), LIN()), X, {}),
    "embedding before norm": (
        lambda: Build(lambda m, x: m.n(m.e((x[:, :4] > 0).long() + 2 * torch.arange(4))), e=nn.Embedding(8, 6), n=LN()), X, {"e.weight": "filter"},
    ),
    "embeddings summed before norm": (
        lambda: Build(lambda m, x: m.n(m.e((x[:, :4] > 0).long()) + m.p), e=nn.Embedding(2, 6), p=par(4, 6), n=LN()), X, {"e.weight": "joint", "p": "joint"},
    ),
    "branch that starts at zero": (zero_last, X, {}),
    "convolution with padding of ones": (
        lambda: Build(lambda m, x: m.n(m.c2(F.pad(torch.relu(m.c1(x)), (1, 1, 1, 1), value=1.0))).flatten(1), c1=nn.Conv2d(2, 3, 3, bias=False),
                      c2=nn.Conv2d(3, 4, 3, bias=False), n=nn.BatchNorm2d(4, affine=False)), IMAGE, {"c2.weight": "filter"},
    ),
    "norm written by hand": (lambda: Build(lambda m, x: torch.tanh(F.layer_norm(m.l(x), (6,), eps=1e-3)), l=LIN()), X, {"l.weight": "layer"}),
    "layer norm by hand, eps beside the root": (lambda: Build(lambda m, x: std_norm(m.l(x)), l=LIN()), X, {"l.weight": "layer"}),
    "the same after a bias": (lambda: Build(lambda m, x: m.k(std_norm(m.l(x))), l=LIN(True), k=LIN()), X, {"l.weight": "joint", "l.bias": "joint"}),
    "joint, eps under the root": (
        lambda: Build(lambda m, x: m.k(F.layer_norm(m.l(x), (6,), eps=1e-4)), l=LIN(True), k=LIN()), X, {"l.weight": "joint", "l.bias": "joint"},
    ),
    "weight standardisation, eps beside the root": (
        lambda: Build(lambda m, x: torch.tanh(F.conv2d(x, standardised(m.w, 1e-5))), w=par(4, 2, 3, 3)), IMAGE, {"w": "filter"},
    ),
    "cosine norm, eps beside the root": (
        lambda: Build(lambda m, x: m.l(x) / (m.l(x).norm(dim=-1, keepdim=True) + 1e-8), l=LIN()), X, {"l.weight": "layer"},
    ),
    "the same, a larger eps": (
        lambda: Build(lambda m, x: m.l(x) / (m.l(x).norm(dim=-1, keepdim=True) + 1e-4), l=LIN()), X, {"l.weight": "layer"},
    ),
    # saturation that fades as 1/scale or as its square, and is no norm
    "softsign": (lambda: Build(lambda m, x: F.softsign(m.l(x)), l=LIN()), X, {}),
    "softsign of few outputs": (lambda: Build(lambda m, x: F.softsign(m.l(x) + 0).abs().sum(0), l=LIN()), (4, 6), {}),
    "arc tangent of positive numbers": (lambda: Build(lambda m, x: torch.atan(m.l(x).square() + m.l(x).abs()), l=LIN()), X, {}),
    "fading as the square": (lambda: Build(lambda m, x: torch.tanh(x) * m.g.square() / (1 + m.g.square()), g=par(6)), X, {}),
    "fading by half": (lambda: Build(lambda m, x: torch.tanh(x) * m.g.abs() / (1 + m.g.abs()), g=par(6)), X, {}),
    "norm and softsign": (lambda: norm_and(lambda h: h.abs() / (1 + h.abs())), X, {}),
    "small bias of a large weight": (lambda: Build(lambda m, x: m.n(m.l(100 * x)), l=LIN(True), n=LN()), X, {"l.weight": "joint", "l.bias": "joint"}),
    "two norms by hand": (
        lambda: Build(lambda m, x: std_norm(m.b(torch.relu(std_norm(m.a(x), 1e-4))), 1e-5), a=LIN(), b=LIN()), X, {"a.weight": "layer", "b.weight": "layer"},
    ),
    "norm and its own length": (lambda: norm_and(lambda h: h.norm() / (1 + h.norm())), X, {}),
    "saturating sigmoid": (lambda: Build(lambda m, x: torch.sigmoid(8 * m.l(x)), l=LIN()), X, {}),
    "scale and its inverse": (lambda: Build(lambda m, x: m.b(torch.relu(m.a(x))), a=LIN(), b=LIN()), X, {}),
    "unused parameter": (lambda: Build(lambda m, x: m.a(x), a=LIN(), b=LIN()), X, {"b.weight": "no effect"}),
    "recurrent": (lambda: Build(lstm, r=nn.LSTM(6, 6, batch_first=True), n=LN()), TOKENS, {}),
}  # fmt: skip
