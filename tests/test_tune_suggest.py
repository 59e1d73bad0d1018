"""Advice from records and monitors."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sde_si import BadInput, HyperParameters, Problem, simulate
from sde_si.record import save
from sde_si.theory import decoupled_lag_cosines, lag_cosines
from sde_si.tune import suggest, transfer
from sde_si.tune.advice import _law
from sde_si.tune.cli import main
from sde_si.tune.evidence import Evidence, gradients_of, of_record

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


def test_advice_of_a_monitor(one_thread):
    torch = pytest.importorskip("torch")
    from sde_si.monitor import AngularMonitor

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(16, 16, bias=False), torch.nn.LayerNorm(16, elementwise_affine=False))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=1e-2)
    with AngularMonitor(model, optimizer, steps_per_epoch=20, groups=["0.weight"], every=1, quiet=True) as monitor:
        assert not any(suggest(monitor))
        with pytest.raises(BadInput, match=r"a whole epoch, got 0 steps of 20.*try again after step 20"):
            monitor.record()
        for _ in range(100):
            optimizer.zero_grad()
            (model(torch.randn(8, 16)) * torch.randn(8, 16)).sum(1).mean().backward()
            optimizer.step()
        found = by_name(suggest(monitor))
    assert found.keys() == {"wait", "phase", "batch", "wd"}
    assert "no signal and noise trace" in found["batch"].because
    assert found["wait"].value is not None or "equilibrium" in found["wait"].because


@pytest.mark.parametrize("decoupled", [False, True])
def test_the_law_of_an_epoch_for_advice(decoupled):
    """By a power of the matrix, as by the recursion over all lags."""
    hp, n = HyperParameters(N=39_000, B=100, lr=0.1, wd=2e-3, momentum=0.9), 390
    found = SimpleNamespace(form="sgdw" if decoupled else "sgd", lr=hp.lr, wd=hp.wd, momentum=0.9, steps_per_epoch=n)
    cosines = (decoupled_lag_cosines if decoupled else lag_cosines)(n, 2e-4, 0.9)
    assert _law(found, 2e-3) == pytest.approx(-math.log(cosines[-1]), rel=1e-9)
    endless = SimpleNamespace(**{**vars(found), "steps_per_epoch": 10**10})  # no law could run through them
    factor = 10**10 * 0.1 * 1e-11 / (1 if decoupled else 1 - 0.9)
    assert _law(endless, 1e-11) == pytest.approx(factor, rel=1e-3)


def test_a_records_method_follows_the_law_of_its_form():
    forms = {"sgd": "sgd", "sgd-torch": "sgd", "splitting": "sgd", "em": "sgd", "svag": "sgd", "sgdw": "sgdw",
             "nesterov": "nesterov", "adamw": "adamw", "adam": "adam", "RMSprop": ""}  # fmt: skip
    for method, form in forms.items():
        found = object.__new__(Evidence)
        object.__setattr__(found, "method", method)
        assert found.form == form
        assert found.quartic is (form in ("sgd", "nesterov"))


def test_a_record_of_another_N_is_refused(records, seed):
    _, made = records
    record = with_gradients(made["settled"], 0.1, 0.02, np.random.default_rng(seed))
    with pytest.raises(BadInput, match="tuned N = 1280, got 2000"):
        gradients_of(record, SETTLED.replace(N=1280))
    assert gradients_of(record, SETTLED)


def test_a_record_of_another_kind_is_called_by_it(tmp_path, capsys):
    file = next((Path(__file__).parent.parent / "validation/records/experiments").glob("tricks-cpu.nc"))
    said = (
        f"expected a record of simulate, train or a monitor, got {file}, which is the record of the experiment tricks"
    )
    transfer_ = ["transfer", "--from", "N=2000,B=50,lr=0.1,wd=8e-3,momentum=0.5", "--to", "B=500", "--record"]
    for words in (["suggest"], transfer_):
        assert main([*words, str(file)]) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "half.nc").write_bytes(file.read_bytes()[:2000])
    assert main(["suggest", str(tmp_path / "half.nc")]) == 4
    assert main(["suggest", str(tmp_path / "missing.nc")]) == 2  # as README's table of exit codes says
    for page in ("README.md", "docs/flags.md"):
        text = " ".join((Path(__file__).parent.parent / page).read_text().split())
        assert "2 bad input (also a file that is named but is not there" in text


def test_the_relaxation_is_not_taken_for_the_phase(records):
    _, made = records
    why = by_name(suggest(made["far"]))["phase"].because
    relaxation, needed = map(
        float, re.search(r"by the law it is (\S+) epochs, and the phase needs (\S+)", why).groups()
    )
    assert relaxation == pytest.approx(of_record(made["far"]).relaxation_predicted, rel=1e-3)
    assert needed > 10 * relaxation


@pytest.mark.parametrize("torch_seed", [0, 2])
def test_a_monitor_and_its_record_say_the_same(torch_seed, one_thread):
    """One of the two networks is in equilibrium by the monitor's own windows, the other is between."""
    torch = pytest.importorskip("torch")
    from sde_si.estimators import window_of
    from sde_si.monitor import AngularMonitor

    torch.manual_seed(torch_seed)
    F = torch.nn.functional
    layers = torch.nn.Linear(20, 64), torch.nn.BatchNorm1d(64), torch.nn.ReLU(), torch.nn.Linear(64, 5)
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=2e-3)
    with AngularMonitor(model, optimizer, batch=torch.randn(32, 20), steps_per_epoch=30, quiet=True) as monitor:
        early = suggest(monitor)
        assert all("0 steps of 30 and no epoch that has ended" in one.because for one in early)
        for _ in range(1500):
            x = torch.randn(32, 20)
            optimizer.zero_grad()
            F.cross_entropy(model(x), x[:, :5].argmax(1)).backward()
            optimizer.step()
        record, reading = monitor.record(), monitor.readings()[-1]
        assert [str(one) for one in suggest(monitor)] == [str(one) for one in suggest(record)]
    assert [str(one) for one in suggest(monitor)] == [str(one) for one in suggest(record)]
    window = window_of(record)
    assert bool(window) is (reading.equilibrated is True)
    assert window.why == reading.why
    assert window.first < 50
    assert {early_.about for early_ in early} == {one.about for one in suggest(record)}
    assert "0 per relaxation" not in " ".join(map(str, suggest(record)))


def test_a_run_that_turns_too_fast_waits_too():
    """From 0.3 of the equilibrium length the angle is above its equilibrium for long (theory.md 6.5)."""
    hp, problem = SETTLED.replace(wd=2e-4, momentum=0.0, epochs=40), Problem("isotropic", dim=256)
    found = by_name(suggest(simulate(problem, hp, paths=12, init_norm="0.3eq")))["wait"]
    assert found.value is not None, found.because
    # |x|^4 comes up from 0.0081 of its equilibrium as 1 - exp(-4 u t)
    u, t = hp.intrinsic_lr, hp.epochs * hp.steps_per_epoch
    now = 1 - (1 - 0.3**4) * math.exp(-4 * u * t)
    left = math.log((1 - now) / (1 - 1.05**-2)) / (4 * u) / hp.steps_per_epoch
    assert found.value == pytest.approx(left, rel=0.05)


def test_adam_with_coupled_decay_is_no_sgd():
    hp = SETTLED.replace(lr=0.01, wd=0.05, momentum=0.9, epochs=30)
    said = by_name(suggest(simulate(Problem("isotropic", dim=64), hp, paths=8, method="adam"), angle_epoch=0.3))
    assert all(said[about].value is None for about in ("wait", "phase", "wd"))
    assert "adam" in said["phase"].because
