"""Schedules: torch's own where torch has them, golden numbers, composition, refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from sde_si import SCHEDULES, BadInput, HyperParameters, Problem, theory
from sde_si.engine import Engine
from sde_si.resolve import resolve
from sde_si.schedules import Timetable, functions, timetable
from sde_si.simulate import simulate
from sde_si.testing import oracle

torch = pytest.importorskip("torch")
EPOCHS, STEPS = 12, 20
HP = HyperParameters(N=STEPS * 10, B=10, lr=0.1, momentum=0.9, epochs=EPOCHS)


def ours(text, **changes):
    table = Timetable(HP.replace(schedule=text, **changes))
    parts = [table.lr_and_momentum(e) for e in range(table.hyperparameters.epochs)]
    return np.concatenate([lr for lr, _ in parts]), np.concatenate([m for _, m in parts])


def theirs(make, *, per_epoch=False, fractional=False):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stepping a schedule without stepping the optimizer
        schedule = make(optimizer)
        lr, momentum = [], []
        for k in range(EPOCHS * STEPS):
            lr.append(optimizer.param_groups[0]["lr"])
            momentum.append(optimizer.param_groups[0]["momentum"])
            if fractional:
                schedule.step((k + 1) / STEPS)
            elif (not per_epoch or (k + 1) % STEPS == 0) and k + 1 < EPOCHS * STEPS:
                schedule.step()
    return np.array(lr), np.array(momentum)


L = torch.optim.lr_scheduler
TOTAL = EPOCHS * STEPS


@pytest.mark.parametrize(("text", "make", "options"), [
    ("constant", lambda o: L.ConstantLR(o, factor=1.0), {}),
    ("step:5", lambda o: L.StepLR(o, 5, 0.1), {"per_epoch": True}),
    ("step:3,0.5", lambda o: L.StepLR(o, 3, 0.5), {"per_epoch": True}),
    ("multi-step:4,9", lambda o: L.MultiStepLR(o, [4, 9]), {"per_epoch": True}),
    ("multi-step:2,7,8,factor=0.3", lambda o: L.MultiStepLR(o, [2, 7, 8], 0.3), {"per_epoch": True}),
    ("cosine", lambda o: L.CosineAnnealingLR(o, TOTAL), {}),
    ("cosine:0.05", lambda o: L.CosineAnnealingLR(o, TOTAL, 0.005), {}),
    ("linear:0.1", lambda o: L.LinearLR(o, 1.0, 0.1, TOTAL), {}),
    ("warm-up:5,0.2", lambda o: L.LinearLR(o, 0.2, 1.0, 5 * STEPS), {}),
    ("sgdr:3,2", lambda o: L.CosineAnnealingWarmRestarts(o, 3, 2), {"fractional": True}),
    ("sgdr:4,1,0.1", lambda o: L.CosineAnnealingWarmRestarts(o, 4, 1, 0.01), {"fractional": True}),
    ("triangular:2,0.1", lambda o: L.CyclicLR(o, 0.01, 0.1, 2 * STEPS, cycle_momentum=False), {}),
    ("triangular2:2,0.1", lambda o: L.CyclicLR(o, 0.01, 0.1, 2 * STEPS, mode="triangular2", cycle_momentum=False), {}),
    ("exp_range:2,0.1,0.99",
     lambda o: L.CyclicLR(o, 0.01, 0.1, 2 * STEPS, mode="exp_range", gamma=0.99, cycle_momentum=False), {}),
    ("1cycle", lambda o: L.OneCycleLR(o, 0.1, TOTAL), {}),
    ("1cycle:0.4,10,100",
     lambda o: L.OneCycleLR(o, 0.1, TOTAL, pct_start=0.4, div_factor=10, final_div_factor=100), {}),
])  # fmt: skip
def test_equal_to_torch(text, make, options):
    lr, momentum = ours(text)
    expected_lr, expected_momentum = theirs(make, **options)
    np.testing.assert_allclose(lr, expected_lr, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(momentum, expected_momentum, rtol=1e-12)


def test_golden_14_9_sgdr():
    hp = HyperParameters(N=4, B=1, lr=0.1, epochs=11, schedule="sgdr:10,1,0.01")
    table = Timetable(hp)
    lr = np.concatenate([table.lr_and_momentum(e)[0] for e in range(11)])
    np.testing.assert_allclose(lr[[0, 10, 20, 30]], [0.1, 0.08550179, 0.0505, 0.01549821], atol=1e-8)
    assert lr[40] == pytest.approx(0.1)  # the restart; 0.001 is the limit just before it
    assert lr[39] == pytest.approx(0.001 + 0.099 * (1 + np.cos(np.pi * 0.975)) / 2)


def test_golden_14_10_triangles():
    hp = HyperParameters(N=1000, B=1, lr=0.006, epochs=4)
    at = [0, 500, 1000, 1500, 2000, 2500, 3000]
    for name, values in (
        ("triangular", (0.001, 0.0035, 0.006, 0.0035, 0.001, 0.0035, 0.006)),
        ("triangular2", (0.001, 0.0035, 0.006, 0.0035, 0.001, 0.00225, 0.0035)),
    ):
        table = Timetable(hp.replace(schedule=f"{name}:1,{1 / 6!r}"))
        lr = np.concatenate([table.lr_and_momentum(e)[0] for e in range(4)])
        np.testing.assert_allclose(lr[at], values, rtol=1e-9)


def test_schedules_compose():
    lr, _ = ours("warm-up:4+multi-step:6,9")
    warm, _ = ours("warm-up:4")
    steps, _ = ours("multi-step:6,9")
    np.testing.assert_allclose(lr, warm * steps / 0.1, rtol=1e-14)


def test_trapezoid():
    lr, _ = ours("trapezoid:0.1,0.25,0.2")
    assert lr[TOTAL // 10 : int(0.75 * TOTAL)] == pytest.approx(0.1)
    assert lr[TOTAL // 20] == pytest.approx(0.05)
    assert lr[-1] == pytest.approx(0.1 * (1 - 0.8 * (1 - 1 / (0.25 * TOTAL))), rel=1e-9)


def test_batch_growth_shortens_epochs():
    table = Timetable(HP.replace(schedule="batch-growth:4,2"))
    assert table.batch.tolist() == [10] * 4 + [20] * 4 + [40] * 4
    assert table.steps.tolist() == [20] * 4 + [10] * 4 + [5] * 4
    assert table.last_change == 8
    assert Timetable(HP.replace(schedule="batch-growth:1,100")).batch.max() == HP.N


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("constant", 0),
        ("step:5", 10),
        ("multi-step:4,9", 9),
        ("warm-up:5", 5),
        ("cosine", EPOCHS),
        ("1cycle", EPOCHS),
        ("warm-up:2+multi-step:7", 7),
        ("noise:2,3", 2),
        ("noise:1,1,0.5,1,1", 3),
    ],
)
def test_last_change(text, last):
    assert Timetable(HP.replace(schedule=text)).last_change == last


def test_a_run_without_momentum_stays_without():
    assert set(ours("1cycle", momentum=0.0)[1]) == {0.0}


@pytest.mark.parametrize("text", [
    "sawtooth", "step", "step:0", "step:a", "step:5,-1", "step:nan", "multi-step", "cosine:1,2", "cosine:best=1",
    "linear:inf",     "warm-up:0", "1cycle:1.5", "1cycle:0", "batch-growth:0", "", "cosine+", "trapezoid:2", "sgdr:0",
])  # fmt: skip
def test_refused(text):
    with pytest.raises(BadInput, match="schedule"):
        Timetable(HP.replace(schedule=text))


def test_a_schedule_must_not_drive_lr_wd_to_one():
    with pytest.raises(BadInput, match="lr \\* wd < 1"):
        Timetable(HP.replace(schedule="step:1,20", wd=1.0))


def test_every_schedule_is_documented():
    assert all(function.__doc__ for function in SCHEDULES.values())


def test_a_batch_schedule_is_one_function_wherever_it_stands(monkeypatch):
    def halved(clock):
        return functions.Change(batch=0.5 * np.ones_like(clock.time))

    monkeypatch.setitem(SCHEDULES, "halved", halved)
    monkeypatch.setattr(timetable, "GROWING", {halved})
    table = Timetable(HyperParameters(N=100, B=10, epochs=2, schedule="cosine+halved"))
    assert table.batch.tolist() == [5, 5]


@pytest.mark.parametrize("schedule", ["cosine", "linear", "sgdr:3", "1cycle"])
def test_a_schedule_that_never_settles_has_no_equilibrium(schedule):
    run = resolve(Problem("isotropic"), HyperParameters(N=1000, B=10, epochs=12, schedule=schedule))
    assert all(row.value is None and "never settles" in row.note for row in theory.equilibrium(run).values())
    assert np.isfinite(theory.predict(run)["weight_norm_predicted"].values).all()


def test_the_noise_follows_its_course_and_ends_as_the_loss_has_it():
    """The norm of the splitting has the closed form 2.3 epoch by epoch, whatever the direction does."""
    hp = HyperParameters(N=40, B=10, lr=0.1, wd=0.05, momentum=0.0, epochs=4, schedule="noise:3,0.5")
    record = simulate(Problem("isotropic", dim=16), hp, method="splitting", paths=2, init_norm=1.5)
    Q, expected = 1.5**4, []
    for factor in (3.0, 0.5, 1.0, 1.0):
        decay, tau = np.exp(-4 * hp.intrinsic_lr * 4), factor * 15 / 10
        Q = Q * decay + hp.lr * tau / (2 * hp.wd) * (1 - decay)
        expected.append(Q**0.25)
    found = record["weight_norm"].sel(group="all").values
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=1e-9)
    np.testing.assert_allclose(record["weight_norm_predicted"], expected, rtol=1e-9)


@pytest.mark.parametrize("method", ["sgd", "em", "svag", "adam"])
def test_a_course_of_the_noise_is_that_of_numpy(method):
    hp = HyperParameters(N=20, B=5, lr=0.2, wd=0.05, momentum=0.0, epochs=3, schedule="noise:4,0.25")
    run = resolve(Problem("vmf", dim=5), hp, method=method, paths=3, init_norm=1.3)
    engine = Engine(run)
    blocks = engine.blocks()
    engine.advance(blocks, 3)
    np.testing.assert_allclose(np.concatenate([b.x for b in blocks]), oracle(run)[0][-1], rtol=1e-9)


def test_a_course_of_noise_that_is_not_isotropic_is_refused():
    with pytest.raises(BadInput, match="isotropic noise"):
        resolve(Problem("pca", dim=4), HyperParameters(N=20, B=5, schedule="noise:2"), method="sgd")
