"""What the monitor refuses, and what it makes of parameter groups with learning rates of their own."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from noise_model import Noise, train  # noqa: E402

from sde_si.errors import BadInput  # noqa: E402
from sde_si.monitor import AngularMonitor  # noqa: E402


def two_rates(model, lr=(0.2, 0.05)):
    groups = [{"params": [w], "lr": of} for w, of in zip(model.weights, lr, strict=True)]
    return torch.optim.SGD(groups, lr=0.1, weight_decay=1e-2)


BOTH = ["weights.0", "weights.1"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"lags": 5}, "lags=.*10, 100"),
        ({"lags": "10"}, "several numbers of steps"),
        ({"sinks": 3}, "several functions"),
        ({"sinks": [3]}, "functions of a dict"),
        ({"groups": 3}, "several names"),
        ({"groups": "weights.0"}, r"got 'weights\.0'"),
        ({"groups": [3]}, "names of parameters"),
        ({"groups": {"a": "weights.0"}}, r"in 'a'.*got 'weights\.0'"),
        ({"groups": {"a": []}}, "at least one parameter in 'a'"),
        ({"groups": {"a": ["weights.0"], "b": ["weights.0"]}}, "'weights.0' twice, in 'a' and 'b'"),
        ({"groups": {"a": ["weights.0", "weights.0"]}}, "twice"),
        ({"groups": ["weights.0", "module.weights.0"]}, "twice"),
        ({"flush_every": 0}, "50"),
        ({"every": 0}, "10"),
    ],
)
def test_wrong_options_are_refused(bad, message):
    model = Noise(5, 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(BadInput, match=message):
        AngularMonitor(model, optimizer, **{"groups": BOTH} | bad, quiet=True)
    assert not optimizer._optimizer_step_pre_hooks


@pytest.mark.parametrize("groups", [tuple(BOTH), {"a": BOTH}, {"a": ("weights.0",), "b": ["weights.1"]}])
def test_right_options_are_taken(groups):
    model = Noise(5, 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monitor = AngularMonitor(model, optimizer, groups=groups, lags=[7], sinks=(print,), flush_every=1, quiet=True)
    assert sum(group.count for group in monitor.groups) == 11


def state_of(model, optimizer):
    with AngularMonitor(model, optimizer, 10, groups=BOTH, every=1, quiet=True) as monitor:
        train(model, optimizer, 30)
        return monitor.state_dict()


def without(state, *path):
    out = copy.deepcopy(state)
    inner = out
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return out


def test_wrong_states_are_refused_and_change_nothing():
    model = Noise(5, 6)
    optimizer = two_rates(model)
    state = state_of(model, optimizer)
    monitor = AngularMonitor(model, optimizer, 10, groups=BOTH, quiet=True)
    wrong = [None, [], 3, {"step": 1, "epoch": (1, 0), "history": None}, {"step": 1, "epoch": (1, 0), "history": {}},
             {**state, "step": "x"}, {**state, "step": -1}, {**state, "epoch": 3}, {**state, "epoch": (1,)},
             without(state, "history", "rows"), without(state, "history", "rows", 1, "values"),
             {**state, "history": {**state["history"], "snapshots": [[(1, 2, 3, 4, 5, 6, 7, 8, 9)] * 2]}},
             {**state, "history": {**state["history"], "epochs": {1: {"nonsense": 1}}}},
             {**state, "history": {**state["history"], "groups": ["other"]}}]  # fmt: skip
    for one in wrong:
        with pytest.raises(BadInput, match="state"):
            monitor.load_state_dict(one)
        assert monitor.readings() == []
        assert monitor.step == 0
    monitor.load_state_dict(state)
    assert monitor.step == 30
    assert len(monitor.readings()) == 3


@pytest.mark.parametrize("old", [False, True])
def test_resuming_with_other_parameter_groups(old):
    """Refused where a watched weight has moved to another group, taken where it has not."""
    model = Noise(5, 6)
    one = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-2)
    states = {1: state_of(model, one), 2: state_of(model, two_rates(model))}
    for state in states.values():
        if old:  # as written before the groups' places were kept
            del state["history"]["param_groups"]
    with pytest.raises(BadInput, match="parameter groups"):
        AngularMonitor(model, two_rates(model), groups=BOTH, quiet=True).load_state_dict(states[1])
    if not old:
        with pytest.raises(BadInput, match="parameter groups"):
            AngularMonitor(model, one, groups=BOTH, quiet=True).load_state_dict(states[2])
    other = torch.nn.Parameter(torch.ones(3))
    more = torch.optim.SGD([{"params": list(model.parameters())}, {"params": [other]}], lr=0.1, weight_decay=1e-2)
    monitor = AngularMonitor(model, more, groups=BOTH, quiet=True)
    monitor.load_state_dict(states[1])
    train(model, more, 30)
    assert len(monitor.readings()) == 3
    assert monitor.notices() is not None
    assert "all" in str(monitor.summary())


@pytest.mark.parametrize("rates", [(0.2, 0.05), (0.2, 0.2)])
def test_the_record_has_every_groups_own_effective_learning_rate(rates):
    model = Noise(50, 60)
    optimizer = two_rates(model, rates)
    with AngularMonitor(model, optimizer, 20, groups=BOTH, every=5, quiet=True) as monitor:
        train(model, optimizer, 100)
    record, *each = monitor.record(), *monitor.readings()
    found = record["effective_lr"].values[0]
    norms = record["weight_norm"].values[0]
    for g, lr in enumerate(rates):
        assert found[:, g] == pytest.approx(lr / norms[:, g] ** 2)
    same = rates[0] == rates[1]
    assert np.isfinite(found[:, 2]).all() if same else np.isnan(found[:, 2]).all()
    assert np.isfinite(each[2].effective_lr) == same
    assert json.loads(record.attrs["lr_of"]) == BOTH[: 1 + same]
    assert json.loads(record.attrs["lr_by_group"]) == {n: [lr] * 5 for n, lr in zip(BOTH, rates, strict=True)}
    # and so after a checkpoint
    again = AngularMonitor(model, optimizer, 20, groups=BOTH, quiet=True)
    again.load_state_dict(monitor.state_dict())
    assert np.array_equal(again.record()["effective_lr"].values[0], found, equal_nan=True)


@pytest.mark.parametrize("given", [True, False])
def test_the_summary_shows_time_left_and_tuning_factor(given):
    """Both before the first epoch has closed, if its length is given; e-folding time and time left are told apart."""
    torch.manual_seed(0)
    model = Noise(50, 60)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5, weight_decay=1e-2)
    with torch.no_grad():
        model.weights[0].mul_(5.0)
    monitor = AngularMonitor(model, optimizer, 500 if given else None, groups=BOTH, every=2, quiet=True)
    train(model, optimizer, 200)
    one, *_ = monitor.readings()
    summary = monitor.summary()
    assert one.tuning_factor == pytest.approx(500 * 1e-3 / 0.5) if given else np.isnan(one.tuning_factor)
    assert abs(one.steps_left / one.relaxation_steps - 1) > 0.2  # two numbers
    [line] = [cells for cells in summary._cells() if cells[0] == "weights.0"]
    assert float(line[7]) == pytest.approx(one.relaxation_steps, rel=1e-3)
    assert float(line[8]) == pytest.approx(one.steps_left, rel=1e-3)
    assert line[9] == ("1" if given else "-")
    rows = {row.quantity: row for row in summary.rows()["weights.0"]}
    assert rows["steps_to_equilibrium"].predicted == one.steps_left
    assert "falls by e in" in rows["steps_to_equilibrium"].note
    assert rows["tuning_factor"].predicted == (pytest.approx(1.0) if given else None)
    for text in (str(summary), summary._repr_html_()):
        assert "tuning" in text
        assert "left" in text
    assert summary.to_json()["groups"]["weights.0"]["tuning_factor"] == (pytest.approx(1.0) if given else None)
