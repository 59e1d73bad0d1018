"""The monitor beside a compiled optimizer step: it stays out of it."""

from __future__ import annotations

import inspect
import math
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from noise_model import Noise  # noqa: E402
from torch._C._dynamo.eval_frame import _debug_get_cache_entry_list  # noqa: E402

from sde_si.monitor import AngularMonitor  # noqa: E402
from sde_si.monitor.history import angle  # noqa: E402


def turned(a, b):
    return 2 * math.asin(np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b)) / 2)


def compiled_by_dynamo():
    """Functions of the monitor of which torch.compile holds a compiled version."""
    found = set()
    for name, module in list(sys.modules.items()):
        if not name.startswith("sde_si.monitor."):
            continue
        inside = [v for _, v in inspect.getmembers(module) if getattr(v, "__module__", "") == name]
        members = [v for cls in inside if inspect.isclass(cls) for v in vars(cls).values()]
        for f in [inspect.unwrap(v) for v in [*inside, *members] if callable(v)]:
            if hasattr(f, "__code__") and _debug_get_cache_entry_list(f.__code__):
                found.add(f.__qualname__)
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("packed", [True, False])
def test_nothing_of_the_monitor_is_compiled_with_a_step(packed):
    """Not what the hooks call either, whichever step copies, compares or flushes; angles are the weights'."""
    torch.manual_seed(0)
    torch._dynamo.reset()
    model = Noise(30, 20)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    seen = []
    monitor = AngularMonitor(model, optimizer, 10, groups=["weights.0"], every=3, lags=(6,), flush_every=4,
                             sinks=[lambda _, step: seen.append(step)], quiet=True)  # fmt: skip
    monitor.probe.packed = packed
    graphs = []

    def backend(module, _):
        graphs.extend(str(node.stack_trace) for node in module.graph.nodes)
        return module.forward

    compiled = torch.compile(optimizer.step, backend=backend)
    generator = torch.Generator().manual_seed(0)
    trail = [model.weights[0].detach().double().numpy().copy()]
    for _ in range(40):
        optimizer.zero_grad()
        model(generator).backward()
        compiled()
        trail.append(model.weights[0].detach().double().numpy().copy())
    assert graphs  # the step itself is compiled
    assert not [trace for trace in graphs if "sde_si" in trace]
    assert compiled_by_dynamo() == set()
    assert seen
    assert monitor.notices() == []
    rows = monitor.history.rows
    for lag in (1, 6):
        assert len(rows[lag]) > 3
        for row in rows[lag]:
            own = turned(trail[row.step], trail[row.step + lag])
            assert angle(row.values[0]) == pytest.approx(own, rel=1e-4)
