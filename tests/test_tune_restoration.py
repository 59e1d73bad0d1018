"""The range test in a loop: it puts back everything, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from sde_si import BadInput


def network(torch, optimizer):
    """Everything that has a state: batch norm, dropout, momentum, an embedding that is frozen, a loader."""
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        torch.nn.Linear(10, 32, bias=False), torch.nn.BatchNorm1d(32), torch.nn.ReLU(), torch.nn.Dropout(0.1),
        torch.nn.Linear(32, 3),
    )  # fmt: skip
    made = optimizer(model.parameters())
    x = torch.randn(256, 10)
    data = torch.utils.data.TensorDataset(x, x[:, :3].argmax(1))
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True, generator=torch.Generator().manual_seed(3))
    return model, made, loader


def train(torch, model, optimizer, loader, steps=20):
    losses = []
    while len(losses) < steps:
        for x, y in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    return losses


def everything(torch, model, optimizer):
    """All bits: weights, buffers, gradients, the optimizer, generators."""
    from copy import deepcopy

    return deepcopy({
        "model": model.state_dict(), "optimizer": optimizer.state_dict(),
        "gradients": [p.grad for p in model.parameters()], "modes": [m.training for m in model.modules()],
        "rng": torch.get_rng_state(), "numpy": np.random.get_state()[1],  # noqa: NPY002
    })  # fmt: skip


def equal(torch, one, other):
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one.view(torch.uint8) if one.dim() else one,
                                                        other.view(torch.uint8) if other.dim() else other)  # fmt: skip
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(torch, one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(equal(torch, a, b) for a, b in zip(one, other, strict=True))
    return one == other


OPTIMIZERS = {
    "sgd": lambda torch: lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adamw": lambda torch: lambda p: torch.optim.AdamW(p, lr=1e-3),
    "tensor-lr": lambda torch: lambda p: torch.optim.Adam(p, lr=torch.tensor(1e-3)),
}


def cross_entropy(torch):
    return lambda model, batch: torch.nn.functional.cross_entropy(model(batch[0]), batch[1])


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("warm", [0, 5])
def test_everything_is_put_back_to_the_bit(name, warm, one_thread):
    torch = pytest.importorskip("torch")
    from sde_si.tune import lr_range

    def course(test):
        model, optimizer, loader = network(torch, OPTIMIZERS[name](torch))
        train(torch, model, optimizer, loader, warm) if warm else None
        before, tensors = everything(torch, model, optimizer), [id(p) for p in model.parameters()]
        if test:
            found = lr_range(model, optimizer, loader, cross_entropy(torch), steps=60, start=1e-4, stop=30)
            assert found.lr.size > 20
            assert np.nanmax(found.angle_step) > 100 * np.nanmin(found.angle_step[found.angle_step > 0])
        assert equal(torch, before, everything(torch, model, optimizer))
        assert tensors == [id(p) for p in model.parameters()]
        return train(torch, model, optimizer, loader)

    assert course(test=True) == course(test=False)


def test_a_restoration_that_forgets_is_seen(one_thread, monkeypatch):
    """Negative control: the same comparison fails if buffers, the optimizer's state or a generator stays behind."""
    torch = pytest.importorskip("torch")
    from sde_si.tune import lr_range
    from sde_si.tune.snapshot import Snapshot

    for forgotten in ("tensors", "state", "generators", "torch"):
        model, optimizer, loader = network(torch, OPTIMIZERS["sgd"](torch))
        train(torch, model, optimizer, loader, 5)
        before, order = everything(torch, model, optimizer), loader.generator.get_state()
        restore = Snapshot.restore

        def forget(self, which=forgotten, whole=restore):
            kept = getattr(self, which)
            setattr(self, which, torch.get_rng_state() if which == "torch" else type(kept)())
            whole(self)

        monkeypatch.setattr(Snapshot, "restore", forget)
        lr_range(model, optimizer, loader, cross_entropy(torch), steps=20)
        monkeypatch.undo()
        same = equal(torch, before, everything(torch, model, optimizer))
        assert not (same and torch.equal(order, loader.generator.get_state())), forgotten


def test_an_exception_leaves_no_trace(one_thread):
    torch = pytest.importorskip("torch")
    from sde_si.tune import lr_range

    model, optimizer, loader = network(torch, OPTIMIZERS["sgd"](torch))
    before, calls = everything(torch, model, optimizer), []

    def treacherous(model, batch):
        calls.append(1)
        model.eval()
        if len(calls) > 9:
            raise KeyboardInterrupt
        return cross_entropy(torch)(model, batch)

    with pytest.raises(KeyboardInterrupt):
        lr_range(model, optimizer, loader, treacherous)
    assert equal(torch, before, everything(torch, model, optimizer))
    for wrong in ({"smoothing": 1.0}, {"steps": 2}, {"ramp": "x"}, {"watch": ["nothing"]}, {"start": -1.0}):
        with pytest.raises(BadInput):
            lr_range(model, optimizer, loader, cross_entropy(torch), **wrong)
    with pytest.raises(BadInput, match="one number"):
        lr_range(model, optimizer, loader, lambda m, b: m(b[0]))
    with pytest.raises(BadInput, match="data"):
        lr_range(model, optimizer, iter([next(iter(loader))]), cross_entropy(torch))
    assert equal(torch, before["model"], everything(torch, model, optimizer)["model"])


def test_the_ramp_of_a_scale_invariant_net_is_a_ramp_of_rotation(one_thread):
    """One step at each lr from the same kind of weights: tan(angle) = lr |g|/((1 - lr wd) |x|) (theory.md 1.2)."""
    torch = pytest.importorskip("torch")
    from sde_si.tune import lr_range

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 8, bias=False), torch.nn.LayerNorm(8, elementwise_affine=False))
    model.double()
    target = torch.randn(64, 8, dtype=torch.float64)
    x = torch.randn(64, 8, dtype=torch.float64)
    seen = []

    def loss(model, batch):
        value = (model(batch) - target).square().mean()
        [g] = torch.autograd.grad(value, [model[0].weight], retain_graph=True)
        seen.append((float(g.norm()), float(model[0].weight.detach().norm())))
        return value

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.01)
    found = lr_range(model, optimizer, [x], loss, start=1e-3, stop=5, steps=40)
    g, r = np.array(seen[: found.lr.size]).T
    # LayerNorm's eps leaves 1e-5 of the gradient along the weights (theory.md 15.5)
    assert np.tan(found.angle_step) == pytest.approx(found.lr * g / ((1 - found.lr * 0.01) * r), rel=1e-3)
    assert any("equilibrium with wd = 0.01" in note for note in found.notes)
