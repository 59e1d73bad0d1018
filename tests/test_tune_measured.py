"""Advice from records and monitors, the range test with its restoration, the search with its replay."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sde_si import BadInput, HyperParameters, Problem, simulate
from sde_si.record import save
from sde_si.tune import lr_range_command, search, suggest, transfer
from sde_si.tune.cli import main
from sde_si.tune.evidence import gradients_of, of_record
from sde_si.tune.found import Trial, interval_of, spread_of, vertex
from sde_si.tune.ramp_reading import learning_rates, read
from sde_si.tune.samplers import Grid
from sde_si.tune.trial import pick, run_command

# -- suggest ------------------------------------------------------------------------------------------------------

SETTLED = HyperParameters(N=2000, B=50, lr=0.1, wd=8e-3, momentum=0.5, epochs=45)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Two runs in equilibrium at different decay, one far from it; saved."""
    folder = tmp_path_factory.mktemp("records")
    problem = Problem("isotropic", dim=256)
    made = {
        "settled": simulate(problem, SETTLED, paths=12),
        "other": simulate(problem, SETTLED.replace(wd=4e-3, epochs=60), paths=12, seed=1),
        "far": simulate(problem, SETTLED.replace(wd=2e-3, epochs=10), paths=12, init_norm="3eq"),
    }
    for name, record in made.items():
        save(record, folder / f"{name}.nc")
    return folder, made


def by_name(found):
    return {one.about: one for one in found}


def test_weight_decay_for_the_angle_of_another_run(records):
    """The truth, 8e-3, lies in the interval; half of it does not."""
    _, made = records
    found = by_name(suggest(made["other"], like=made["settled"]))["wd"]
    wide = 5 / 1.96
    assert found.value - wide * (found.value - found.low) < 8e-3 < found.value + wide * (found.high - found.value)
    assert not found.low < 4e-3 < found.high
    assert found.high - found.low < 0.1 * found.value
    assert "-ln cos per epoch" in found.evidence
    angle = math.acos(math.exp(-2 * of_record(made["other"]).lr))  # any angle will do
    assert by_name(suggest(made["other"], angle_epoch=angle))["wd"].value > 0


def test_how_long_to_wait(records):
    """Against the recursion 1.1 of a constant |g|^2 from the same norm (negative control: the time of SDE's clock)."""
    _, made = records
    found = by_name(suggest(made["far"]))["wait"]
    assert found.unit == "epochs"
    assert found.low < found.value < found.high
    run = HyperParameters(**{**SETTLED.__dict__, "wd": 2e-3, "epochs": 400})
    longer = simulate(Problem("isotropic", dim=256), run, paths=4, init_norm="3eq")
    angle = np.sqrt((longer["angle_step"].sel(group="all").values ** 2).mean(axis=0))
    predicted = json.loads(longer.attrs["predictions"])["angle_step"]["value"]
    reached = int(np.argmax(angle > 0.95 * predicted)) + 1
    assert found.value + 10 == pytest.approx(reached, rel=0.03)
    assert abs(0.5 * found.value + 10 - reached) > 0.2 * reached


def test_what_is_not_known_is_not_said(records):
    _, made = records
    settled, far = by_name(suggest(made["settled"])), by_name(suggest(made["far"]))
    assert not settled["wait"]
    assert "in equilibrium" in settled["wait"].because
    assert "signal and noise trace" in settled["batch"].because
    assert "--angle-epoch" in settled["wd"].because
    assert "not measured" in far["phase"].because
    assert all("because" in str(one) for one in far.values() if not one)
    with pytest.raises(BadInput, match="equilibrium"):
        suggest(made["settled"], like=made["far"])
    with pytest.raises(BadInput, match="both"):
        suggest(made["settled"], like=made["other"], angle_epoch=0.3)


def with_gradients(record, ratio, noise, rng):
    """A record with signal and noise trace of known quotient, as a training's."""
    shape = record["angle_step"].shape
    trace = 2.0 * (1 + 0.05 * rng.standard_normal(shape))
    signal = 2.0 * (ratio + noise * rng.standard_normal(shape))
    dims = record["angle_step"].dims
    return record.assign(signal=(dims, signal), noise_trace=(dims, trace))


def test_largest_batch_by_measured_gradients(records, seed, capsys):
    folder, made = records
    rng = np.random.default_rng(seed)
    found = by_name(suggest(with_gradients(made["settled"], 0.1, 0.02, rng)))["batch"]
    truth = 50 * (1.1**2 + (1.1**2 - 1) / (3 * 0.1))  # momentum 0.5: a mean gradient that stays counts 3 times
    assert abs(found.value - truth) < 5 * (found.high - found.low) / 3.92
    assert (found.high - found.low) < 0.1 * truth
    none = by_name(suggest(with_gradients(made["settled"], 0.0, 0.02, rng)))["batch"]
    assert not none
    assert "not told from zero" in none.because
    both = gradients_of(with_gradients(made["settled"], 0.1, 0.02, rng), SETTLED)
    assert both["signal"] / both["noise_trace"] == pytest.approx(0.1, rel=0.05)
    assert transfer(SETTLED, B=500, **both).options
    save(with_gradients(made["settled"], 0.1, 0.02, rng), folder / "gradients.nc")
    words = ["transfer", "--from", "N=2000,B=50,lr=0.1,wd=8e-3,momentum=0.5", "--to", "B=500", "--json"]
    assert main([*words, "--record", str(folder / "gradients.nc")]) == 0
    said = json.loads(capsys.readouterr().out)["options"][0]
    assert said["effects"]["signal_to_noise"]["after"] == pytest.approx(1.0, rel=0.05)
    assert "noise" in {one["kind"] for one in said["warnings"]}
    with pytest.raises(BadInput, match="tuned B"):
        gradients_of(made["settled"], SETTLED.replace(B=100))
    with pytest.raises(BadInput, match="signal"):
        gradients_of(made["settled"], SETTLED)


def test_suggest_on_the_command_line(records, capsys):
    folder, _ = records
    words = ["suggest", str(folder / "other.nc"), "--like", str(folder / "settled.nc")]
    assert main(words) == 0
    assert "no suggestion, because" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["about"] for one in found["suggestions"]} == {"wait", "phase", "batch", "wd"}
    for bad in (["suggest"], ["suggest", "missing.nc"], ["suggest", __file__], [*words, "--angle-epoch", "20"],
                [*words[:2], "--angle-epoch", "95"], [*words[:2], "--B", "0"], [*words, "--like", "no"]):  # fmt: skip
        assert main(bad) in (2, 4)
        assert not capsys.readouterr().out


def test_a_file_that_is_no_record_is_bad_input(records, tmp_path, capsys):
    folder, _ = records
    other, damaged = tmp_path / "other.json", tmp_path / "damaged.nc"
    other.write_text("{}")
    damaged.write_bytes((folder / "other.nc").read_bytes()[:500])
    for file, code, said in ((__file__, 2, "another kind of file"), (other, 2, "another kind of file"),
                             (tmp_path, 2, "the folder"), (damaged, 4, "no record")):  # fmt: skip
        assert main(["suggest", str(file)]) == code
        error = capsys.readouterr().err
        assert said in error
        assert "TypeError" not in error
        assert len(error.splitlines()) == 1
    assert main(["suggest", str(folder / "other.nc"), "--like", str(tmp_path)]) == 2


def test_names_in_capitals_and_files_that_end_the_program(trainer, tmp_path, capsys):
    words = ["search", "--N", "512", "--full-N", "4096", "--quiet", "--tuning-factors", "0.1:1:3"]
    assert main([*words, "--function", trainer, "--optimizer", "ADAMW"]) == 2
    assert "try adamw" in capsys.readouterr().err
    (tmp_path / "ends.py").write_text("import argparse\nargparse.ArgumentParser().parse_args(['--unknown'])\n")
    assert main([*words, "--function", "ends.py:nofn"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: --function: expected a function that can be imported")
    assert "SystemExit" in error


def test_advice_of_a_monitor(one_thread):
    torch = pytest.importorskip("torch")
    from sde_si.monitor import AngularMonitor

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(16, 16, bias=False), torch.nn.LayerNorm(16, elementwise_affine=False))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=1e-2)
    with AngularMonitor(model, optimizer, steps_per_epoch=20, groups=["0.weight"], every=1, quiet=True) as monitor:
        with pytest.raises(BadInput, match="whole epoch"):
            suggest(monitor)
        for _ in range(100):
            optimizer.zero_grad()
            (model(torch.randn(8, 16)) * torch.randn(8, 16)).sum(1).mean().backward()
            optimizer.step()
        found = by_name(suggest(monitor))
    assert found.keys() == {"wait", "phase", "batch", "wd"}
    assert "--B" in found["batch"].because
    assert found["wait"].value is not None or "equilibrium" in found["wait"].because


# -- range test ---------------------------------------------------------------------------------------------------


def test_ramps():
    assert learning_rates(1e-3, 10, 9, "exponential") == pytest.approx(1e-3 * 10 ** (np.arange(9) / 2))
    assert learning_rates(1, 9, 9, "linear") == pytest.approx(np.arange(1, 10))
    for wrong in ((0, 1, 9, "linear"), (1, 1, 9, "linear"), (1, 2, 3, "linear"), (1, math.inf, 9, "linear"),
                  (1, 2, 9, "cubic")):  # fmt: skip
        with pytest.raises(BadInput):
            learning_rates(*wrong)


def bowl(lr, noise, rng):
    """A loss that falls, is least at lr = 1, and rises."""
    return 1 + 0.2 * np.log10(lr) ** 2 + noise * rng.standard_normal(lr.size)


def test_a_suggestion_or_none(seed):
    rng, lr = np.random.default_rng(seed), learning_rates(1e-4, 1e2, 200, "exponential")
    found = read(lr, bowl(lr, 0.01, rng), ramp="exponential", smoothing=0.5)
    assert found.suggestion == pytest.approx(0.1, rel=0.5)
    assert found.low <= found.suggestion < found.high == pytest.approx(1 / 3, rel=0.5)
    assert "±" in found.evidence
    flat = read(lr, 1 + 0.01 * rng.standard_normal(200), ramp="exponential", smoothing=0.9)
    assert flat.suggestion is None
    falling = read(lr[:120], bowl(lr[:120], 0.01, rng), ramp="exponential", smoothing=0.5)
    assert "raise the end" in falling.because
    lost = bowl(lr[:140], 0.01, rng)
    lost[-1] = math.nan
    assert "is lost" in read(lr[:140], lost, ramp="exponential", smoothing=0.5).evidence
    assert "finite" in read(lr, np.full(200, math.nan), ramp="linear", smoothing=0.5).because
    json.dumps(found.to_json(), allow_nan=False)


def test_no_suggestion_from_a_gap_of_the_ramp():
    lr = learning_rates(0.001, 10, 12, "linear")
    found = read(lr, 1 + np.abs(lr - lr[2]), ramp="linear", smoothing=0.0, runs=True)
    assert found.suggestion is found.low is found.high is None
    assert "in a gap of the ramp: nothing was tried between 0.001 and 0.91" in found.because
    assert "more points" in found.because
    low = learning_rates(1, 30, 12, "exponential")
    assert (
        "nothing was tried (below 1)"
        in read(low, 1 + np.abs(np.log(low / low[2])), ramp="exponential", smoothing=0).because
    )
    far = read(lr, 1 + np.abs(lr - lr[-2]), ramp="linear", smoothing=0.0)
    assert far.suggestion == pytest.approx(lr[-2] / 10)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("constant", [0.0, 2.5, -1.0])
def test_figures_of_range_tests(constant):
    lr = learning_rates(1e-3, 10, 12, "exponential")
    flat = read(lr, np.full(12, constant), ramp="exponential", smoothing=0.0, runs=True)
    assert "more smoothing" not in flat.because
    assert "longer runs, more seeds" in flat.because
    figure = flat.figure()
    figure.draw_without_rendering()
    box = figure._suptitle.get_window_extent()
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1  # not clipped
    loss = bowl(lr, 0, np.random.default_rng(0))
    loss[-2:] = math.nan
    labels = {text.get_text() for text in read(lr, loss, ramp="exponential", smoothing=0.0, runs=True).figure().axes[0]
              .get_legend().get_texts()}  # fmt: skip
    assert labels >= {"loss at the end of each run", "failed or diverged"}
    steps = read(lr, bowl(lr, 0, np.random.default_rng(0)), ramp="exponential", smoothing=0.5)
    assert "loss before the step" in {text.get_text() for text in steps.figure().axes[0].get_legend().get_texts()}


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


SCRIPT = """
import argparse, json, math
p = argparse.ArgumentParser()
for name in ("N", "B", "lr", "wd", "seed"):
    p.add_argument(f"--{name}", type=float, default=0)
a = p.parse_args()
if a.lr > 20:
    raise SystemExit("blew up")
print("some text")
print(json.dumps({"final": {"loss": [9, 1 + math.log10(a.lr) ** 2]}, "none": None}))
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    return f"{sys.executable} script.py --lr {{lr}}"


def test_range_test_of_a_command(script, capsys):
    words = ["lr-range", "--command", script, "--metric", "final.loss", "--start", "0.01", "--stop", "100", "--points",
             "9", "--quiet", "--executor", "local:1"]  # fmt: skip
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["suggestion"] == pytest.approx(0.1)
    assert found["loss"][-2:] == [None, None]
    assert "2 of 9" in found["notes"][0]
    assert "blew up" in found["notes"][0]
    assert main([*words, "--no-figure"]) == 0  # found again
    assert "suggestion: lr = 0.1" in capsys.readouterr().out
    for bad in (["--command", "echo 1"], ["--command", "echo {lr} {nothing}"], ["--start", "-1"], ["--points", "2"],
                ["--seeds", "2"], ["--metric", "final.nothing", "--points", "6"], ["--stop", "0.001"]):  # fmt: skip
        assert main([*words, *bad, "--out", "bad"]) == 2, bad
        assert not capsys.readouterr().out


# -- search -------------------------------------------------------------------------------------------------------

TRAINER = """
import math, os, random

def train(N, B, lr, wd, momentum, seed):
    with open("calls", "a") as file:
        file.write(".")
    if wd > 0.5:
        raise ArithmeticError("diverged")
    factor = N * lr * wd / (B * (1 - momentum))
    noise = random.Random(f"{seed} {factor:.5g}").gauss(0, 0.003)
    return {"accuracy": 0.9 - 0.02 * math.log(factor / 0.1) ** 2 + noise}
"""
SUBSET = HyperParameters(N=512, B=64, lr=0.1, momentum=0.9)
FACTORS = [0.01, 0.03, 0.09, 0.27, 0.81]


class InProcess:
    """An executor of this process."""

    def submit(self, function, *arguments):
        from concurrent.futures import Future

        future = Future()
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)
        return future


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    (tmp_path / "trainer.py").write_text(TRAINER)
    monkeypatch.chdir(tmp_path)
    return "trainer.py:train"


def hunt(trainer, **more):
    return search(trainer, **{
        "subset": SUBSET, "full_N": 8192, "tuning_factors": FACTORS, "metric": "accuracy", "quiet": True,
        "executor": InProcess(), **more,
    })  # fmt: skip


def test_search_finds_the_tuning_factor_and_transfers_it(trainer, tmp_path):
    found = hunt(trainer, rounds=2)
    assert found.low < 0.1 < found.high
    assert found.high / found.low < 2
    assert found.best.tuning_factor == pytest.approx(0.1, rel=0.3)
    assert any(one.stopped for one in found.trials)  # bad points do not get every seed
    assert all(len(one.values) == 3 for one in found.trials if not one.stopped)
    wd = found.settings["wd"].hyperparameters
    assert 8192 * wd.lr * wd.wd / (64 * 0.1) == pytest.approx(found.best.tuning_factor, rel=1e-12)
    calls = len((tmp_path / "calls").read_text())
    assert found.samples == calls * 512
    assert found.samples_full == 5 * 3 * 8192
    assert found.spread == pytest.approx(0.003, rel=0.8)


def test_a_killed_search_goes_on_from_its_files(trainer, tmp_path):
    whole = hunt(trainer).to_json()
    records = sorted((tmp_path / "runs").glob("*.nc"))
    calls = len((tmp_path / "calls").read_text())
    assert calls == len(records)
    for record in records[::2]:
        record.unlink()
    assert hunt(trainer).to_json() == whole
    assert len((tmp_path / "calls").read_text()) == calls + len(records[::2])


def test_batch_sizes_and_failures(trainer):
    found = hunt(trainer, batches=[64, 128], tuning_factors=[0.05, 0.1, 0.2, 8.0], seeds=1, rounds=0)
    assert {one.hyperparameters.B for one in found.trials} == {64, 128}
    assert any("diverged" in note for note in found.notes)
    assert any("one seed" in note for note in found.notes)
    edge = hunt(trainer, tuning_factors=[0.2, 0.4, 0.8], seeds=2, rounds=0, out="edge")
    assert any("smallest" in note for note in edge.notes)
    with pytest.raises(BadInput, match="train"):
        hunt(trainer, tuning_factors=[10.0, 20.0, 30.0], out="none")


def test_less_can_be_better_and_lr_can_be_solved_for(trainer):
    worst = hunt(trainer, maximize=False, solve_for="lr", seeds=1, rounds=0, subset=SUBSET.replace(wd=1e-2))
    assert worst.best.tuning_factor in (0.01, 0.81)
    assert {one.hyperparameters.wd for one in worst.trials} == {1e-2}


def test_wrong_searches(trainer):
    for wrong in ({"tuning_factors": [0.1]}, {"tuning_factors": [0.1, 0.1, 0.2]}, {"tuning_factors": [0.1, -1, 2]},
                  {"full_N": 100}, {"seeds": 0}, {"rounds": -1}, {"sampler": "x"}, {"solve_for": "B"},
                  {"command": "train"}, {"metric": "nothing"}, {"optimizer": "x"}, {"batches": [1000]}):  # fmt: skip
        with pytest.raises(BadInput):
            hunt(trainer, **wrong)


def line_of(values, factors=(0.1, 0.2, 0.4, 0.8)):
    points = zip(factors, values, strict=True)
    return [Trial(tuning_factor=f, hyperparameters=SUBSET, values=tuple(v), stopped=False) for f, v in points]


@pytest.mark.parametrize(
    ("values", "best", "low", "high", "said"),
    [
        ([[0.5]] * 4, 0, None, None, "no difference"),
        ([[0.5, 0.5]] * 4, 2, None, None, "no difference"),
        ([[math.nan], [0.5], [math.nan], [math.nan]], 1, 0.1, 0.4, "only one point"),
        ([[1.0, 1.1], [2.0, 2.1], [3.0, 3.1], [math.nan]], 2, 0.08**0.5, 0.8, "ends above at 0.8, where runs failed"),
        ([[1.0], [2.0], [math.nan], [math.nan]], 1, 0.02**0.5, 0.4, "none beyond"),
        ([[math.nan], [3.0, 3.1], [2.0, 2.1], [1.0, 1.1]], 1, 0.1, 0.08**0.5, "ends below at 0.1"),
        ([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [math.nan]], 0, None, 0.8, "wider range"),
        ([[1.0, 1.01], [3.0, 3.01], [2.98, 2.99], [1.0, 1.01]], 1, 0.02**0.5, "some", ""),
        ([[1.0], [2.0], [3.0], [4.0]], 3, 0.32**0.5, None, "largest"),
        ([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]], 3, 0.32**0.5, None, "do not differ"),
        ([[4.0, 4.01], [3.0, 3.01], [2.0, 2.01], [1.0, 1.01]], 0, None, 0.02**0.5, "smallest"),
        ([[1.0, 1.0], [2.0, 2.0], [1.0, 1.0], [0.0, 0.0]], 1, 0.02**0.5, 0.08**0.5, "do not differ"),
        ([[1.0, 1.1], [3.0, 3.1], [3.05, 3.0], [1.0, 1.1]], 1, "some", "some", ""),
        ([[1.0, 1.8], [1.1, 1.7], [1.0, 1.9], [1.3, 1.5]], 2, None, None, "widen it on both sides"),
    ],
)
def test_an_interval_that_nothing_bounds_is_open(values, best, low, high, said):
    line = line_of(values)
    spread = spread_of(line)
    found = interval_of(line, line[best], spread, 1.0)
    for end, expected in zip(found, (low, high), strict=False):
        if expected == "some":
            assert end is not None
            assert 0.1 < end < 0.8
        else:
            assert end == (None if expected is None else pytest.approx(expected))
    assert said in " ".join(found[2])
    if None not in found[:2]:
        assert found[0] < line[best].tuning_factor < found[1]
    if any(one.failed for one in line):
        assert "that was tried" not in " ".join(found[2])


def test_failures_bound_the_interval_and_are_called_failed(trainer):
    found = hunt(trainer, tuning_factors=[0.02, 0.05, 0.1, 8.0], rounds=0)
    assert (found.high, found.to_json()["trials"][-1]["failed"]) == (8.0, True)
    assert not any(("widen" in note and "above" in note) or "largest" in note for note in found.notes)
    assert "open above" not in found.interval()
    assert list(found.to_table().columns[-1].cells)[-1] == "failed"


def test_intervals_quoted_of_the_demonstration():
    """docs/tune.md quotes them by the present rule, not by that of the day of the record."""
    root = Path(__file__).parent.parent
    content = json.loads((root / "validation/records/tune_transfer.json").read_text())
    for name, expected in {"search": (0.019, 0.23), "grid": (0.086, 0.23)}.items():
        made = content[name]
        line = [
            Trial(tuning_factor=one["tuning_factor"], hyperparameters=HyperParameters(**one["hyperparameters"]),
                  values=tuple(one["values"]), stopped=one["stopped"])
            for one in made["trials"]
        ]  # fmt: skip
        best = next(one for one in line if one.tuning_factor == made["tuning_factor"])
        low, high, _ = interval_of(line, best, made["spread"], 1.0)
        assert (float(f"{low:.2g}"), float(f"{high:.2g}")) == expected
        assert f"{expected[0]} to {expected[1]} by the {name}" in (root / "docs/tune.md").read_text()


def test_an_open_interval_is_null_and_called_open(tmp_path, monkeypatch):
    (tmp_path / "flat.py").write_text("def train(N, B, lr, wd, momentum, seed):\n    return {'accuracy': 0.5}\n")
    monkeypatch.chdir(tmp_path)
    found = hunt("flat.py:train", seeds=2, rounds=0)
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["low"] is content["high"] is None
    text = " ".join(found.lines())
    assert "open on both sides of the range tried, 0.01 .. 0.81" in text
    assert "no difference between points" in text


def test_the_grid_refines_beside_its_best():
    grid = Grid([0.1, 1.0, 10.0], [8], 1)
    for point in grid.ask():
        grid.tell(point, -abs(math.log10(point[0])))
    assert sorted(grid.ask()) == [(pytest.approx(10**-0.5), 8), (pytest.approx(10**0.5), 8)]
    assert grid.ask() == []


def test_vertex_of_a_parabola():
    x = np.array([0.0, 1.0, 3.0])
    assert vertex(x, -((x - 1.3) ** 2)) == pytest.approx(1.3)
    assert vertex(x, x) == 3.0


def test_optuna_asks_and_is_told(trainer):
    pytest.importorskip("optuna")
    first = hunt(trainer, sampler="optuna", rounds=1)
    assert len(first.trials) == 7
    assert hunt(trainer, sampler="optuna", rounds=1).to_json() == first.to_json()


def test_search_on_the_command_line(script, capsys):
    command = f"{script} --wd {{wd}} --N {{N}} --seed {{seed}}"
    words = ["search", "--command", command, "--metric", "final.loss", "--minimize", "--N", "512", "--full-N", "4096",
             "--B", "64", "--solve-for", "lr", "--wd", "1e-2", "--tuning-factors", "0.08:8:3", "--seeds", "1",
             "--rounds", "0", "--executor", "local:1", "--quiet"]  # fmt: skip
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["best"]["lr"] == pytest.approx(1.0)
    assert found["settings"]["options"][0]["hyperparameters"]["N"] == 4096
    assert main(words) == 0
    assert "settings for the whole data set" in capsys.readouterr().out
    for bad in (["--tuning-factors", "1:2"], ["--tuning-factors", "x"], ["--N", "x"], ["--full-N", "1"],
                ["--function", "a.py:b"], ["--sampler", "x"], ["--command", "echo"], ["--lr", "nan"]):  # fmt: skip
        try:
            code = main([*words, *bad])
        except SystemExit as stop:
            code = stop.code
        assert code == 2, bad
        assert not capsys.readouterr().out


def test_a_command_may_write_its_result_to_a_file(tmp_path):
    file = tmp_path / "write.py"
    file.write_text('import sys; print("done"); open(sys.argv[1], "w").write(\'{"loss": [3, \' + sys.argv[2] + "]}")')
    words = f"{sys.executable} {file} {{out}} {{lr}}"
    assert run_command(words, "loss", str(tmp_path), {}, lr=0.25) == 0.25
    for wrong, said in ((f"{sys.executable} -c pass {{out}}", "no file"), (f"{sys.executable} -c pass", "nothing")):
        with pytest.raises(ValueError, match=said):
            run_command(wrong, "loss", str(tmp_path), {})
    with pytest.raises(RuntimeError, match="code 1"):
        run_command("false", "loss", str(tmp_path), {})


def test_why_a_command_failed_is_its_last_line_and_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.py").write_text("print('first', flush=True)\nimport sys\nprint('warned', file=sys.stderr)\n"
                                     "raise RuntimeError('no such data set: cifar11')\n")  # fmt: skip
    with pytest.raises(BadInput, match="succeeds") as caught:
        lr_range_command(f"{sys.executable} bad.py {{lr}}", points=6, quiet=True, executor=InProcess())
    said = str(caught.value)
    assert "code 1: RuntimeError: no such data set: cifar11" in said
    assert "\n" not in said
    file = Path(re.search(r"whole: ([^)]+)\)", said)[1])
    assert "warned" in json.loads(file.read_text())["reason"]
    assert "Traceback" in json.loads(file.read_text())["reason"]


@pytest.mark.parametrize("printed", ["loss is 0.3", "0.3", "[1, 2]"])
def test_a_command_without_json_is_told_its_last_line(printed, tmp_path):
    words = f"{sys.executable} -c \"print('{printed}')\""
    with pytest.raises(ValueError, match="printed no JSON object on its last line") as caught:
        run_command(words, "loss", str(tmp_path), {})
    assert repr(printed) in str(caught.value)


def test_metrics_by_dotted_names():
    assert pick({"a": {"b": [1, 2]}}, "a.b") == 2
    assert math.isnan(pick({"a": None}, "a"))
    for wrong in ({"a": "x"}, {"b": 1}, {"a": True}, [1]):
        with pytest.raises(ValueError, match="'a'"):
            pick(wrong, "a")


def test_lr_range_command_needs_some_success(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="succeeds"):
        lr_range_command("false {lr}", points=8, quiet=True, executor=InProcess())


def test_the_module_is_the_command():
    one, other = (
        subprocess.run([sys.executable, "-m", *words, "transfer", "--help"], capture_output=True, text=True, check=True)
        for words in (["sde_si.tune"], ["sde_si", "tune"])
    )
    assert one.stdout == other.stdout
    assert dataclasses.is_dataclass(Grid)


@pytest.mark.slow
def test_the_demonstration_runs_at_a_tiny_size(tmp_path):
    pytest.importorskip("sklearn")
    root = Path(__file__).parent.parent
    words = ["-m", "validation.tune_transfer", "--tiny", "--executor", "local:1", "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, *words], cwd=root, capture_output=True, text=True, check=True)
    rows = re.findall(r"^\((\w)\) .* wd (\S+): accuracy (\S+), cost (\S+) of \(b\)$", done.stdout, re.MULTILINE)
    assert [row[0] for row in rows] == ["a", "b", "c"]
    cost = {name: float(share) for name, _, _, share in rows}
    # three points of 64 samples and one run of 256, of three of 256
    assert cost == {
        "a": pytest.approx((3 * 64 + 256) / (3 * 256), abs=1e-3),
        "b": 1.0,
        "c": pytest.approx(1 / 3, abs=1e-3),
    }
