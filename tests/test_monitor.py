"""AngularMonitor against theory, against direct recomputation, and against a run without it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from noise_model import Noise, train  # noqa: E402

from sde_si import theory  # noqa: E402
from sde_si.comparison import Row  # noqa: E402
from sde_si.errors import BadInput, DiskProblem  # noqa: E402
from sde_si.monitor import AngularMonitor, tensorboard, wandb  # noqa: E402
from sde_si.monitor.optimizers import form_of, rule_of  # noqa: E402
from sde_si.record import load, save  # noqa: E402
from sde_si.theory.optimizers import (  # noqa: E402
    Rule,
    adam_equilibrium,
    equilibrium_angle,
    equilibrium_norm,
    equilibrium_versine,
    relaxation,
)


class Lion(torch.optim.Optimizer):
    """Lion as its authors publish it."""

    def __init__(self, params, lr, betas, weight_decay):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(torch.sign(b1 * m + (1 - b1) * p.grad), alpha=-group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)


class SGDW(torch.optim.SGD):
    """SGD with decoupled weight decay, as in timm."""

    def step(self):
        decay = [group["weight_decay"] for group in self.param_groups]
        for group in self.param_groups:
            for p in group["params"]:
                p.data.mul_(1 - group["lr"] * group["weight_decay"])
            group["weight_decay"] = 0.0
        super().step()
        for group, wd in zip(self.param_groups, decay, strict=True):
            group["weight_decay"] = wd


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.5, weight_decay=4e-3),
    "sgdm": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=4e-3),
    "dampened": lambda p: torch.optim.SGD(p, lr=0.4, momentum=0.8, dampening=0.5, weight_decay=4e-3),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=4e-3, nesterov=True),
    "sgdw": lambda p: SGDW(p, lr=0.1, momentum=0.8, weight_decay=2e-2),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, betas=(0.9, 0.99), weight_decay=0.2),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, betas=(0.8, 0.99), weight_decay=0.05),
    "lion": lambda p: Lion(p, lr=1e-2, betas=(0.95, 0.98), weight_decay=0.2),
}  # fmt: skip


# -- predictions in plain numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("u", "mu"), [(1e-4, 0.0), (1e-3, 0.9), (0.02, 0.5), (0.05, 0.99)])
@pytest.mark.parametrize("lag", [1, 2, 7, 200])
def test_linear_recursion_is_the_closed_form(u, mu, lag):
    coupled = 1 - theory.lag_cosines(lag, u, mu)[lag]
    decoupled = 1 - theory.decoupled_lag_cosines(lag, u, mu)[lag]
    assert equilibrium_versine(Rule("sgd", 0.1, u / 0.1, mu), lag) == pytest.approx(coupled, rel=1e-9, abs=1e-14)
    assert equilibrium_versine(Rule("sgdw", 0.1, u / 0.1, mu), lag) == pytest.approx(decoupled, rel=1e-9, abs=1e-14)
    # AdamW with a second moment that does not fluctuate
    adamw = Rule("adamw", 0.1, u / 0.1, mu, 1 - 1e-13)
    assert equilibrium_versine(adamw, lag) == pytest.approx(decoupled, rel=1e-9, abs=1e-14)


def test_leading_order_of_the_table():
    """The rows of theory.md 6.7 are the limits of small u."""
    u, b1, C = 1e-6, 0.9, 400
    adamw = Rule("adamw", 1e-3, u / 1e-3, b1, 1 - 1e-9)
    assert equilibrium_angle(adamw) == pytest.approx(math.sqrt(2 * u * (1 - b1) / (1 + b1)), rel=1e-4)
    assert equilibrium_norm(adamw, C) == pytest.approx(math.sqrt(adamw.lr * C / (2 * adamw.wd)), rel=1e-4)
    star, pull = adam_equilibrium(Rule("adam", 1e-3, 1e-2, b1, 0.99), C, norm=2.0, root_sum=50.0)
    assert star == pytest.approx((1e-3 * 100 / 2e-2) ** (1 / 3))
    rotation = math.sqrt((1 - b1) / (1 + b1)) * 1e-3 * math.sqrt(C) / star
    assert equilibrium_angle(Rule("adam", 1e-3, 1e-2, b1, 0.99), adam_pull=pull) == pytest.approx(rotation, rel=1e-3)
    nesterov = Rule("nesterov", 0.1, u / 0.1, 0.9)
    # (1 + mu - mu^3 ... )/...: Nesterov's step is longer than SGDM's, its long lags are the same
    assert equilibrium_angle(nesterov) > equilibrium_angle(Rule("sgd", 0.1, u / 0.1, 0.9)) * 1.1
    lag = 10_000
    assert equilibrium_versine(nesterov, lag) == pytest.approx(1 - theory.lag_cosines(lag, u, 0.9)[lag], rel=1e-2)


@pytest.mark.parametrize(
    ("betas_u", "norm", "rotation"),
    [((0.9, 0.99, 2e-3), 9624.607094, 0.01000503), ((0.95, 0.98, 1e-3), 27739.908398, 0.00592319),
     ((0.9, 0.99, 2e-4), 112636.362877, 0.00297320)],
)  # fmt: skip
def test_lion_has_the_golden_values(betas_u, norm, rotation):
    b1, b2, u = betas_u
    rule = Rule("lion", 0.01, u / 0.01, b1, b2)
    assert equilibrium_norm(rule, 1) ** 2 / 1e-4 == pytest.approx(norm, rel=1e-9)
    assert math.sqrt(2 * equilibrium_versine(rule)) == pytest.approx(rotation, rel=1e-5)
    # lags beyond the sign's memory forget at the rate of the decay
    far = 4000
    later = far + round(1 / u)
    assert (1 - equilibrium_versine(rule, later)) / (1 - equilibrium_versine(rule, far)) == pytest.approx(
        (1 - u) ** (later - far), rel=1e-4
    )


def test_a_rule_without_a_law_predicts_nothing():
    for rule in (Rule("sgd", 0.1, 0.0), Rule("RMSprop", 0.1, 0.1), Rule("sgd", 2.0, 1.0), Rule("adam", 0.1, 0.1, 0.9)):
        assert math.isnan(equilibrium_angle(rule))
        assert math.isnan(equilibrium_norm(rule, 10))
    assert relaxation(Rule("sgd", 0.1, 0.0)) == (math.inf, 1.0)
    assert relaxation(Rule("sgd", 0.1, 1e-3))[0] == pytest.approx(1 / (4e-4), rel=1e-3)
    assert relaxation(Rule("lion", 0.1, 1e-3, 0.9, 0.99))[0] == pytest.approx(1 / 2e-4)
    # 2u only where the second moment forgets much faster than the norm moves
    assert relaxation(Rule("adamw", 0.01, 1e-3, 0.9, 0.9))[0] == pytest.approx(1 / 2e-5, rel=1e-3)
    assert relaxation(Rule("adamw", 0.1, 1e-2, 0.9, 0.999))[0] == pytest.approx(1 / (0.44 * 1e-3), rel=0.01)


# -- what it measures -----------------------------------------------------------------------------------------------


def angle64(a, b):
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return 2 * math.asin(min(1.0, np.linalg.norm(a - b) / 2))


@pytest.mark.parametrize("every", [1, 3, 10])
def test_windows_are_those_of_the_weights(every):
    """Every angle and norm, recomputed from the weights of all steps in float64."""
    model = Noise(40, 300)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, weight_decay=1e-2)
    trail = [[w.detach().double().numpy().copy() for w in model.weights]]
    monitor = AngularMonitor(
        model, optimizer, 25, groups=["weights.0", "weights.1"], every=every, lags=(7, 20), quiet=True
    )
    train(
        model, optimizer, 100, each=lambda _: trail.append([w.detach().double().numpy().copy() for w in model.weights])
    )
    monitor.readings()
    seen = 0
    for lag, rows in monitor.history.rows.items():
        for row in rows:
            end = row.step + (lag or 25)
            for g in range(3):
                pick = [g] if g < 2 else [0, 1]
                x0, x1 = (np.concatenate([trail[k][i] for i in pick]) for k in (row.step, end))
                from sde_si.monitor.history import angle, end_norm

                assert angle(row.values[g]) == pytest.approx(angle64(x0, x1), rel=2e-5)
                assert end_norm(row.values[g]) == pytest.approx(np.linalg.norm(x1), rel=1e-5)
                if lag == 1 and row.step > 0:
                    v = x0 - np.concatenate([trail[row.step - 1][i] for i in pick])
                    assert row.values[g, 3:5] == pytest.approx([x0 @ v, v @ v], rel=1e-4, abs=1e-6)
                seen += 1
    assert seen > 40
    record = monitor.record()
    assert record["group"].values.tolist() == ["1", "2", "all"]
    assert record["angle_epoch"].values[0, :, 0] == pytest.approx(
        [angle64(trail[25 * e][0], trail[25 * e + 25][0]) for e in range(4)], rel=2e-5
    )
    assert record["weight_norm_initial"].values[0, 0] == pytest.approx(np.linalg.norm(trail[0][0]), rel=1e-6)


def test_memory_layouts_and_types():
    """channels_last, float64, a slice of a larger tensor: the same numbers as for plain weights."""
    found = []
    for change in (lambda w: w, lambda w: w.to(memory_format=torch.channels_last), lambda w: w.double(),
                   lambda w: torch.nn.functional.pad(w, (0, 2))[..., :3]):  # fmt: skip
        torch.manual_seed(0)
        weight = torch.nn.Parameter(change(torch.randn(6, 5, 3, 3)))
        model = torch.nn.Module()
        model.weight = weight
        optimizer = torch.optim.SGD([weight], lr=0.5)
        monitor = AngularMonitor(model, optimizer, 8, every=1, lags=(2,), quiet=True)
        rng = np.random.default_rng(0)
        for _ in range(8):
            weight.grad = torch.as_tensor(rng.standard_normal((6, 5, 3, 3))).to(weight)
            optimizer.step()
        monitor.readings()
        found.append(np.stack([row.values[0] for row in monitor.history.rows[1][1:]]))
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-4)


def test_a_run_with_it_is_bit_identical():
    def run(watched):
        torch.manual_seed(3)
        model = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Dropout(0.2),
                                    torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(4))  # fmt: skip
        x, y = torch.randn(16, 1, 8, 8), torch.randint(0, 4, (16,))
        model(x)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        monitor = AngularMonitor(model, optimizer, 10, batch=x, every=2, quiet=True) if watched else None
        for _ in range(40):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x + torch.randn_like(x)), y).backward()
            optimizer.step()
            if monitor:
                monitor.summary()
        return [t.clone() for t in model.state_dict().values()], torch.get_rng_state()

    for a, b in zip(run(False)[0], run(True)[0], strict=True):
        assert torch.equal(a, b)
    assert torch.equal(run(False)[1], run(True)[1])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_equilibrium_of_every_optimizer(kind, seed, one_thread):
    """Noise alone: step, lags and, where the optimizer fixes it, the norm, within 5 standard errors and 1 %."""
    torch.manual_seed(seed % 2**31)
    model = Noise(1500)
    optimizer = OPTIMIZERS[kind](list(model.parameters()))
    form = form_of(optimizer)
    names = ["weights.0"]
    quiet = {"quiet": True, "groups": names, "watch_clipping": False}
    star = equilibrium_norm(rule_of(form, optimizer.param_groups[0]), 1500)
    with torch.no_grad():
        model.weights[0].mul_((star if math.isfinite(star) else 6.0) / model.weights[0].norm())
    train(model, optimizer, 3000, seed)  # to equilibrium
    monitor = AngularMonitor(model, optimizer, 200, every=2, lags=(10, 50), **quiet)
    train(model, optimizer, 5000, seed + 1)
    [reading] = monitor.readings()
    error = (reading.high - reading.low) / 4.3
    assert error < 0.01 / 3
    assert abs(reading.ratio - 1) < max(5 * error, 0.01)
    assert reading.equilibrated is True, reading.why
    for lag, found in reading.lags.items():
        tolerance = 0.015 if kind != "adam" else 0.03  # Adam's own second moments fluctuate
        assert abs(found.angle / found.predicted - 1) < max(5 * found.stderr / found.predicted, tolerance), lag
    if math.isfinite(star):
        assert reading.weight_norm == pytest.approx(star, rel=0.03)
    # the formula that forgets the momentum is rejected by the same data
    rule = reading.rule
    if rule.momentum and kind != "adam":
        wrong = math.sqrt(2 * rule.intrinsic_lr)
        assert abs(reading.angle_step / wrong - 1) > 10 * max(error, 0.005)


def test_signal_share(seed, one_thread):
    """A mean gradient is seen in the weights alone: G/(G+tau), without and with momentum."""
    for momentum in (0.0, 0.8):
        torch.manual_seed(seed % 2**31)
        model = Noise(400)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=momentum, weight_decay=1e-2)
        monitor = AngularMonitor(
            model, optimizer, every=2, lags=(), groups=["weights.0"], watch_clipping=False, quiet=True
        )
        train(model, optimizer, 1500, seed)
        assert abs(monitor.readings()[0].signal) < 0.02
        monitor.remove()
        model = Noise(400)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.002, momentum=momentum)
        with torch.no_grad():
            model.weights[0].mul_(30)
        monitor = AngularMonitor(
            model, optimizer, every=2, lags=(), groups=["weights.0"], watch_clipping=False, quiet=True
        )
        train(model, optimizer, 1500, seed, mean=15.0)  # far from its goal: G = 15^2 (1 - y_1^2)
        w = model.weights[0].detach()
        y = float(w[0] / w.norm())
        G = 225 * (1 - y * y)
        assert monitor.readings()[0].signal == pytest.approx(G / (G + 399), abs=0.04)


def test_confinement_is_seen(seed, one_thread):
    """In a narrow well the cosine over a long lag is held up by gradients, as theory.md 1.11 splits it."""
    torch.manual_seed(seed % 2**31)
    model = Noise(100)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.5, weight_decay=1e-2)
    monitor = AngularMonitor(model, optimizer, lags=(100,), groups=["weights.0"], watch_clipping=False, quiet=True)
    train(model, optimizer, 6000, seed, mean=200.0)
    lag = monitor.readings()[0].lags[100]
    assert lag.angle < 0.8 * lag.predicted
    assert lag.confinement > 0.1


# -- any loop -------------------------------------------------------------------------------------------------------


def test_learning_rate_drop_and_recovery(one_thread):
    """The angle falls at once by the drop and comes back to its root, as theory.md 6.5 says."""
    model = Noise(1500)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2500], gamma=0.1)
    monitor = AngularMonitor(model, optimizer, 100, every=2, lags=(), groups=["weights.0"], quiet=True)
    train(model, optimizer, 2500, each=lambda _: schedule.step())
    assert monitor.readings()[0].ratio == pytest.approx(1.0, abs=0.01)
    train(model, optimizer, 100, seed=1, each=lambda _: schedule.step())
    [now] = monitor.readings()
    assert now.ratio == pytest.approx(1 / math.sqrt(10), rel=0.1)
    assert now.equilibrated is not True
    assert now.steps_left == pytest.approx(math.log(9 / 0.04) / (4 * 0.05 * 1e-2), rel=0.1)
    train(model, optimizer, 3500, seed=2)
    [now] = monitor.readings()
    assert now.ratio == pytest.approx(1.0, abs=0.02)


def test_parameter_groups_have_their_own_prediction(one_thread):
    model = Noise(800, 800, 50)
    first, second, third = model.weights
    optimizer = torch.optim.SGD(
        [{"params": [first], "lr": 0.2}, {"params": [second], "weight_decay": 0.04},
         {"params": [third], "weight_decay": 0.0}],
        lr=0.1, weight_decay=1e-2, momentum=0.5,
    )  # fmt: skip
    with AngularMonitor(
        model, optimizer, 100, groups=[f"weights.{i}" for i in range(3)], every=2, quiet=True
    ) as monitor:
        train(model, optimizer, 3000)
    one, two, three, total = monitor.readings()
    for reading, u in ((one, 2e-3), (two, 4e-3)):
        assert reading.predicted == pytest.approx(theory.step_angle(u, 0.5), rel=1e-9)
        assert reading.ratio == pytest.approx(1.0, abs=0.015)
        assert reading.tuning_factor == pytest.approx(100 * u / 0.5)
    assert three.equilibrated is False
    assert "no weight decay" in three.why
    assert math.isnan(three.predicted)
    assert total.name == "all"
    assert math.isnan(total.tuning_factor)


def test_accumulation_clipping_amp_and_compile():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    monitor = AngularMonitor(compiled, optimizer, 20, groups=["0.weight"], every=1, quiet=True)
    for step in range(60):
        for _ in range(2):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = compiled(torch.randn(32, 8)).float().square().mean()
            if step == 10:
                loss = loss * math.inf  # the scaler skips this step
            scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1e-2)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    assert monitor.step == 59  # accumulated batches are one step, the skipped step is none
    assert [notice.kind for notice in monitor.notices() if notice.kind == "clipping"] == ["clipping"]
    assert all(np.isfinite(row.values[0]).all() for row in monitor.history.rows[1][1:])


# torch's own, when it compiles a step
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_step_and_a_step_that_fails():
    """The hooks stay out of a compiled step; an exception within a step costs that step and nothing else."""
    model = Noise(30)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    monitor = AngularMonitor(model, optimizer, groups=["weights.0"], every=1, quiet=True)
    compiled = torch.compile(optimizer.step, backend="eager")
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        model(generator).backward()
        compiled()
    assert monitor.step == 6

    def fails():
        raise RuntimeError

    def deeper(step):
        step()

    with pytest.raises(RuntimeError):
        optimizer.step(fails)
    for _ in range(6):
        model(generator).backward()
        deeper(optimizer.step)
    assert monitor.step == 12
    assert len(monitor.history.rows[1]) == 12 if monitor.readings() else False


def test_free_gradients_are_not_called_clipped():
    model = Noise(50)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monitor = AngularMonitor(model, optimizer, groups=["weights.0"], every=1, quiet=True)
    train(model, optimizer, 200)
    assert not [notice for notice in monitor.notices() if notice.kind == "clipping"]


def test_resumption():
    """A run in two halves has the epochs of a whole one; an epoch that was cut has no window of its own."""

    def run(cut):
        torch.manual_seed(0)
        model = Noise(100)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=1e-2)
        options = {"groups": ["weights.0"], "lags": (10,), "every": 5, "quiet": True}
        monitor = AngularMonitor(model, optimizer, 20, **options)
        generator = torch.Generator().manual_seed(1)
        for k in range(100):
            if k == cut:
                import io

                file = io.BytesIO()
                torch.save(monitor.state_dict(), file)
                monitor.remove()
                monitor = AngularMonitor(model, optimizer, 20, **options)
                file.seek(0)
                monitor.load_state_dict(torch.load(file))
            optimizer.zero_grad()
            model(generator).backward()
            optimizer.step()
        return monitor.record()

    whole, halves, cut = run(None), run(40), run(53)
    for name in ("cos_epoch", "angle_step", "weight_norm", "weight_norm_initial"):
        assert np.array_equal(whole[name].values, halves[name].values), name
    assert cut["epoch"].values.tolist() == [1, 2, 4, 5]
    assert np.array_equal(cut["weight_norm"].values, whole["weight_norm"].values[:, [0, 1, 3, 4]])


def test_epochs_by_call():
    model = Noise(60)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, weight_decay=1e-2)
    monitor = AngularMonitor(model, optimizer, groups=["weights.0"], quiet=True)
    for steps in (30, 50):
        train(model, optimizer, steps)
        with pytest.raises(BadInput, match="a whole epoch") if steps == 30 else _nothing():
            monitor.record()
        monitor.epoch()
        monitor.epoch()  # harmless
    record = monitor.record()
    assert record["steps_per_epoch"].values.tolist() == [30, 50]
    assert monitor.readings()[0].tuning_factor == pytest.approx(50 * 2e-3)


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def test_removed_without_a_trace():
    model = Noise(30)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = (dict(model.__dict__), dict(optimizer.state_dict()), len(optimizer._optimizer_step_post_hooks))
    with AngularMonitor(model, optimizer, quiet=True, groups=["weights.0"]) as monitor:
        train(model, optimizer, 30)
    assert (len(optimizer._optimizer_step_post_hooks), len(optimizer._optimizer_step_pre_hooks)) == (before[2], 0)
    assert not any(hasattr(w, name) for w in model.weights for name in ("monitor", "_sde_si"))
    assert monitor.probe.copies == {}
    step = monitor.step
    train(model, optimizer, 5)
    assert monitor.step == step


def test_master_weights_are_read():
    """The optimizer steps float32 copies of bfloat16 weights: these are watched, under the model's names."""
    model = torch.nn.Linear(20, 20, bias=False).bfloat16()
    master = model.weight.detach().float().requires_grad_()
    optimizer = torch.optim.SGD([master], lr=1e-3)
    monitor = AngularMonitor(model, optimizer, every=1, quiet=True)
    assert monitor.groups[0].name == "weight"
    master.grad = torch.randn(20, 20)
    optimizer.step()
    assert 0 < monitor.readings()[0].angle_step < 1e-1


# -- what it shows --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("monitor")
    torch.manual_seed(0)
    model = Noise(200, 100)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=1e-2)
    scalars, logged = {}, []
    monitor = AngularMonitor(model, optimizer, 50, log=folder / "log.jsonl", lags=(10,), every=5, quiet=True,
                             groups={"first": ["weights.0"], "[second]": ["weights.1"]},
                             sinks=[lambda values, step: scalars.update({step: values}), wandb(_Run(logged)),
                                    tensorboard(_Run(logged))])  # fmt: skip
    train(model, optimizer, 1000)
    return monitor, folder, scalars, logged


class _Run:
    def __init__(self, logged):
        self.logged = logged

    def log(self, values, commit):
        self.logged.append(("wandb", values, commit))

    def add_scalar(self, name, value, step):
        self.logged.append(("tensorboard", name, value, step))


def test_summary(watched):
    monitor, *_ = watched
    summary = monitor.summary()
    text = str(summary)
    assert "[second]" in text
    assert "1.0" in text
    assert all(isinstance(row, Row) for rows in summary.rows().values() for row in rows)
    json.dumps(summary.to_json(), allow_nan=False)
    html = summary._repr_html_()
    assert html.count("<tr>") == 8  # angles of a step, angles over lags
    assert "angles over lags" in text
    assert "[second]" in html
    model = Noise(5)
    fresh = AngularMonitor(model, torch.optim.SGD(model.parameters(), lr=0.1), groups=["weights.0"], quiet=True)
    assert "nothing recorded" in str(fresh.summary())


def test_record_is_the_projects(watched, tmp_path):
    monitor, *_ = watched
    record = monitor.record()
    save(record, tmp_path / "monitor.nc")
    again = load(tmp_path / "monitor.nc")
    assert again.equals(record)
    assert json.loads(again.attrs["group_names"]) == ["first", "[second]"]
    assert set(json.loads(again.attrs["predictions_by_group"])) == {"first", "[second]", "all"}
    from sde_si import figures
    from sde_si.estimators import equilibrated, equilibrium
    from sde_si.show import main_show

    assert figures.overlay({"monitor": again})
    assert main_show([str(tmp_path / "monitor.nc"), "--out", str(tmp_path)]) == 0
    window = equilibrated(again, 2 * 2e-3 / 1.9)
    found = equilibrium(again, window, "angle_step")
    assert found.value == pytest.approx(theory.step_angle(2e-3, 0.9), rel=0.03) if window else window.why


def test_plot_log_and_sinks(watched):
    monitor, folder, scalars, logged = watched
    assert len(monitor.plot().axes) == 3
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == sorted(scalars)
    last = lines[-1]["groups"]["first"]
    assert last["predicted"] == pytest.approx(theory.step_angle(2e-3, 0.9))
    assert last["angle_step"] == pytest.approx(scalars[max(scalars)]["sde_si/angle_step/first"])
    assert all(isinstance(v, float) for values in scalars.values() for v in values.values())
    assert {entry[0] for entry in logged} == {"wandb", "tensorboard"}
    assert not any(entry[2] for entry in logged if entry[0] == "wandb")


# -- refusals and notices -------------------------------------------------------------------------------------------


def test_bad_input(tmp_path):
    model = Noise(5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for bad in ({"every": 0}, {"groups": ["nothing"]}, {"lags": (0,)}, {"steps_per_epoch": -1}, {}):
        with pytest.raises(BadInput):
            AngularMonitor(model, optimizer, **bad, quiet=True)
    with pytest.raises(BadInput, match="steps none"):
        AngularMonitor(model, torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.1), quiet=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskProblem):
        AngularMonitor(model, optimizer, groups=["weights.0"], log=tmp_path / "file" / "log", quiet=True)
    assert not optimizer._optimizer_step_pre_hooks


def kinds(monitor):
    return [notice.kind for notice in monitor.notices()]


def test_notices_of_settings_have_both_signs(capsys):
    model = Noise(5, 5)
    groups = ["weights.0", "weights.1"]
    good = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1, momentum=0.9)
    assert kinds(AngularMonitor(model, good, groups=groups)) == []
    assert "copies" in capsys.readouterr().err
    nesterov = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1, momentum=0.9, nesterov=True)
    assert kinds(AngularMonitor(model, nesterov, groups=groups, quiet=True)) == ["setting"]
    assert capsys.readouterr().err == ""
    dampened = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1, momentum=0.9, dampening=0.9)
    assert kinds(AngularMonitor(model, dampened, groups=groups, quiet=True)) == ["setting"]
    unknown = torch.optim.RMSprop(model.parameters(), lr=0.1, weight_decay=0.1)
    assert kinds(AngularMonitor(model, unknown, groups=groups, quiet=True)) == ["setting"]
    bare = torch.optim.SGD(model.parameters(), lr=0.1)
    assert kinds(AngularMonitor(model, bare, groups=groups, quiet=True)) == ["norm"]
    two = [{"params": [model.weights[0]], "lr": 0.0}, {"params": [model.weights[1]]}]
    frozen = torch.optim.SGD(two, lr=0.1, weight_decay=0.1)
    assert kinds(AngularMonitor(model, frozen, groups=groups, quiet=True)) == ["frozen"]


def test_notice_of_the_budget():
    for total, expected in ((100, ["budget"]), (100_000, [])):
        model = Noise(50)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-2)
        monitor = AngularMonitor(model, optimizer, groups=["weights.0"], total_steps=total, quiet=True)
        train(model, optimizer, 60)
        assert kinds(monitor) == expected


def test_notice_of_a_norm_that_runs_away():
    """Gradients that grow without end: theory expects rest, the norm grows on; constant ones rest."""
    for growth, expected in ((0.01, ["norm"]), (0.0, [])):
        torch.manual_seed(0)
        model = Noise(300)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
        monitor = AngularMonitor(model, optimizer, groups=["weights.0"], watch_clipping=False, quiet=True)
        generator = torch.Generator().manual_seed(0)
        for k in range(600):
            optimizer.zero_grad()
            (model(generator) * math.exp(growth * k)).backward()
            optimizer.step()
        assert kinds(monitor) == expected
