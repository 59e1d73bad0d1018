"""The audit against networks whose scale-invariant parameters are known: no false positive, no miss."""

from __future__ import annotations

import collections
import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from audit_zoo import IMAGE, LIN, LN, ZOO, X  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from sde_si.audit import audit  # noqa: E402
from sde_si.errors import BadInput  # noqa: E402


@pytest.mark.parametrize("name", ZOO)
def test_zoo(name):
    torch.manual_seed(0)
    make, shape, expected = ZOO[name]
    found = audit(make(), torch.randn(*shape))
    if expected is None:
        return
    assert {n: level for n, level in found.levels.items() if level != "none"} == expected
    assert all(group.witness < 1e-6 for group in found.groups)


def test_residual_stream_is_one_joint_group():
    """Everything that writes into the stream: scaled together it changes nothing, whatever is counted with it."""
    torch.manual_seed(0)
    found = audit(ZOO["residual stream"][0](), torch.randn(*X))
    [joint] = [group for group in found.groups if group.level == "joint"]
    # a_i and b_i in a branch share a scale, so either may carry the branch's part
    assert "embed.weight" in joint.names
    for i in (1, 2):
        assert len({f"a{i}.weight", f"b{i}.weight"} & set(joint.names)) == 1
    assert len(joint.names) == 3
    assert joint.witness < 1e-6


def test_joint_groups_stay_apart():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 6), LN(), nn.Linear(6, 6), LN(), nn.Linear(6, 2))
    found = audit(net, torch.randn(*X))
    assert sorted(group.names for group in found.groups) == [("0.weight", "0.bias"), ("2.weight", "2.bias")]


@pytest.mark.parametrize("kind", ["module", "by hand"])
def test_eps_is_measured(kind):
    """A weight so short that eps is seen: still invariant by structure, and the radial share says how far from it."""
    shares = []
    for size in (1.0, 1e-2):
        torch.manual_seed(0)
        net = nn.Sequential(LIN(), LN(), LIN()) if kind == "module" else ZOO["norm written by hand"][0]()
        with torch.no_grad():
            next(net.parameters()).mul_(size)
        [group] = audit(net, torch.randn(*X)).groups
        shares.append(group.radial)
    assert shares[0] < 0.05
    assert shares[1] > 50 * shares[0]


def test_loss_decides_where_the_last_norm_is_in_the_loss():
    torch.manual_seed(0)
    net = nn.Sequential(LIN(), nn.Tanh(), LIN())
    x, y = torch.randn(16, 6), torch.randn(16, 6)
    assert audit(net, x).groups == ()
    found = audit(net, (x, y), loss=lambda out, y: 1 - F.cosine_similarity(out, y).mean())
    assert {name for name, level in found.levels.items() if level != "none"} == {"2.weight"}


@pytest.mark.parametrize("training", [True, False])
def test_everything_is_left_as_it_was(training):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.3), nn.utils.spectral_norm(nn.Conv2d(4, 4, 3)),  # noqa: E501
                        nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(16, 3)))  # fmt: skip
    net.train(training)
    net[1].eval()
    x = torch.randn(*IMAGE)
    net(x).sum().backward()
    before = {n: t.clone() for n, t in net.state_dict().items()}
    plain = {n: v.clone() for m in net.modules() for n, v in vars(m).items() if isinstance(v, torch.Tensor)}
    grads = {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}
    state, python, numpy = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    audit(net, x)
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())
    assert all(torch.equal(p.grad, grads[n]) for n, p in net.named_parameters() if n in grads)
    assert {
        n: v for m in net.modules() for n, v in vars(m).items() if isinstance(v, torch.Tensor)
    }.keys() == plain.keys()
    assert all(
        torch.equal(v, plain[n]) for m in net.modules() for n, v in vars(m).items() if isinstance(v, torch.Tensor)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert random.getstate() == python
    assert np.random.get_state()[1].tolist() == numpy  # noqa: NPY002
    assert net.training is training
    assert net[1].training is False
    assert net[1].eps == 1e-5


def test_forms_of_batches_and_outputs():
    torch.manual_seed(0)

    class Keywords(nn.Module):
        def __init__(self):
            super().__init__()
            self.l, self.n = LIN(), LN()

        def forward(self, a, b):
            return {"logits": self.n(self.l(a)) + b, "extra": (torch.ones(2, dtype=torch.long), None)}

    found = audit(Keywords(), {"a": torch.randn(4, 6), "b": torch.randn(4, 6)})
    assert found.levels == {"l.weight": "layer"}
    assert found.share == 1.0
    assert "l.weight" in str(found)
    assert "layer" in found._repr_html_()
    assert found.to_json()["share"] == 1.0


def test_a_model_that_insists_on_float32():
    class Single(nn.Module):
        def __init__(self):
            super().__init__()
            self.l, self.k = LIN(), LIN()
            self.table = torch.randn(6, 6)  # neither parameter nor buffer: stays float32

        def forward(self, x):
            return F.layer_norm(self.l(x @ self.table), (6,)) @ self.k.weight

    torch.manual_seed(0)
    found = audit(Single(), torch.randn(32, 6))
    assert found.precision == "float32"
    assert found.levels == {"l.weight": "layer", "k.weight": "none"}


def test_bad_batches_are_refused():
    with pytest.raises(BadInput, match="one training batch"):
        audit(nn.Linear(6, 2), torch.randn(3, 5))
    with pytest.raises(BadInput, match="floating-point parameters"):
        audit(nn.ReLU(), torch.randn(3, 5))


def test_compiled_models():
    net = torch.compile(nn.Sequential(LIN(), LN(), LIN()), backend="eager")
    assert audit(net, torch.randn(*X)).levels["0.weight"] == "layer"


class Counting(nn.Module):
    """Counts its forwards, as a warm-up of its own would."""

    def __init__(self):
        super().__init__()
        self.calls, self.linear, self.norm = 0, nn.Linear(6, 8, bias=False), nn.LayerNorm(8, elementwise_affine=False)

    def forward(self, x):
        self.calls += 1
        return self.norm(self.linear(x))


def test_the_users_generators_and_counters_are_as_before(monkeypatch):
    """Seeding everything would also reach devices that nobody puts back, even before their first use."""
    model, x = Counting(), torch.randn(16, 6)
    model(x)
    monkeypatch.setattr(torch, "manual_seed", lambda _seed: pytest.fail("seeds every device"))
    before = torch.get_rng_state()
    assert audit(model, x).levels["linear.weight"] != "none"
    assert torch.equal(torch.get_rng_state(), before)
    assert model.calls == 1


def test_a_batch_may_be_a_named_tuple():
    batch = collections.namedtuple("Batch", "inputs targets")  # noqa: PYI024  (users' have no types)
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.LayerNorm(8, elementwise_affine=False))
    found = audit(model, batch(torch.randn(16, 6), torch.randn(16, 8)), F.mse_loss)
    assert found.levels["0.weight"] != "none"
