"""Theory laid over a trained network: identities that a damaged record fails, laws, simulations, claims."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from small_training import TRAINED  # noqa: E402

from sde_si import theory  # noqa: E402
from sde_si.estimators import values, window_of  # noqa: E402
from sde_si.record import checksums, load, save  # noqa: E402
from sde_si.verify.claims import steps  # noqa: E402
from sde_si.verify.cli import main as verify  # noqa: E402
from validation import claims, compare  # noqa: E402
from validation.compare import keep, page  # noqa: E402
from validation.compare.overlay import course  # noqa: E402
from validation.compare.rotation import ANSWERED, ASYMMETRIC, CONFINED, NOISE_ONLY, PAPER  # noqa: E402
from validation.train import ends  # noqa: E402
from validation.train.cli import main as train  # noqa: E402


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """SGD without and with momentum, long enough for an equilibrium, with curvature and response."""
    folder, out = tmp_path_factory.mktemp("trained"), {}
    patch = pytest.MonkeyPatch()
    patch.setattr(ends, "HESSIAN_BATCHES", 8)
    patch.setattr(ends, "PRODUCTS", 15)
    for momentum, wd in (("0", "0.3"), ("0.9", "0.03")):
        before = set(folder.glob("*.nc"))
        words = [*TRAINED, "--momentum", momentum, "--wd", wd, "--epochs", "30", "--lags", "1,5,10", "--curvature", "2"]
        assert train([*words, "--response", "3", "--seeds", "1", "--out", str(folder)]) == 0
        [out[momentum]] = set(folder.glob("*.nc")) - before
    patch.undo()
    return out


def test_identities_hold_to_rounding(records):
    for momentum, file in records.items():
        checks = compare.identities(load(file))
        assert len(checks) == (3 if momentum == "0" else 2)
        assert all(check.left <= check.allowed for check in checks), checks


@pytest.mark.parametrize(
    ("momentum", "name", "factor"),
    [("0", "log_cos_step", 1 + 1e-6), ("0.9", "split_drift", 1 + 1e-3), ("0.9", "radial_gradient", 1e15)],
)
def test_a_damaged_record_fails(records, momentum, name, factor):
    record = load(records[momentum])
    record[name] = record[name] * factor
    assert any(check.left > check.allowed for check in compare.identities(record))


def test_rotations_beside_the_laws(records):
    record = load(records["0.9"])
    found = {one.name: one for one in compare.rotations(record)}
    assert {"one step", "epoch, end to end", "epoch, middle to middle", "lag 10"} <= found.keys()
    epoch, u = found["epoch, end to end"], 0.003
    assert epoch.steps == 10
    assert epoch.laws[NOISE_ONLY] == pytest.approx(1 - theory.lag_cosines(10, u, 0.9)[-1])
    assert epoch.laws[PAPER] == pytest.approx(10 * u / (1 - 0.9))
    assert epoch.laws[CONFINED] < epoch.laws[NOISE_ONLY] < epoch.laws[PAPER]
    kicks = record["kick_size"].values[0, :, None] * record["response"].values[0]
    assert epoch.laws[ANSWERED] == pytest.approx(theory.response_versines(u, 0.9, kicks.mean(axis=0))[10])
    left_out = [theory.response_versines(u, 0.9, np.delete(kicks, i, axis=0).sum(axis=0))[10] for i in range(3)]
    assert epoch.errors[ANSWERED] == pytest.approx(np.std(left_out) * 2**0.5)
    assert found["one step"].laws[ANSWERED] == pytest.approx(u / 1.9)
    assert found["lag 10"].laws == epoch.laws
    assert 0 <= compare.unstable_share(record) < 1


@pytest.mark.parametrize(("momentum", "u"), [("0", 0.03), ("0.9", 0.003)])
def test_the_asymmetric_law_adds_the_asymmetry_and_the_fall_of_the_loss(records, momentum, u):
    record = load(records[momentum])
    (epoch,) = (one for one in compare.rotations(record) if one.name == "epoch, end to end")
    kicks = (record["kick_size"] * record["response"]).values[0].mean(axis=0)
    ways = record["asymmetry"].values[0].mean(axis=0)
    between = PchipInterpolator([0, 1, 5, 10], [0, *ways])(np.arange(1, 11))
    late = compare.window(record).epochs
    loss, square = record["train_loss"].values[0, late], (values(record, "weight_norm")[0, late] ** 2).mean()
    half = (loss.size + 1) // 2
    fall = 2 * 0.1 * (loss[:half].mean() - loss[half:].mean()) / (loss.size / 2 * 10) / square
    law = theory.response_versines(u, float(momentum), kicks + between + fall * np.arange(1, 11))
    assert epoch.laws[ASYMMETRIC] == pytest.approx(law[10], rel=1e-9)
    assert epoch.laws[ASYMMETRIC] != pytest.approx(epoch.laws[ANSWERED], rel=1e-4)
    assert 0 < epoch.errors[ASYMMETRIC] < epoch.laws[ASYMMETRIC]


def test_networks_that_diverged_answer_nothing(records):
    record = load(records["0.9"])
    both = record.isel(path=[0, 0]).copy(deep=True)
    for name in ("response", "kick_size", "asymmetry", "train_loss"):
        both[name].loc[{"path": both["path"][1]}] = np.nan
    (alone, beside) = (
        next(r for r in compare.rotations(one) if r.name == "epoch, end to end") for one in (record, both)
    )
    assert beside.laws == pytest.approx(alone.laws)


@pytest.mark.parametrize("momentum", ["0", "0.9"])
def test_the_simulations_have_the_networks_own_noise(records, momentum):
    record = load(records[momentum])
    tau, signal = course(record)
    whole = record["gradient"].sel(group="all").values.mean(axis=0)
    assert tau + signal == pytest.approx(whole)
    over = {one.name: one.record for one in compare.overlays(record, paths=2)}
    start = record["weight_norm_initial"].sel(group="all").values
    assert over["SDE"]["weight_norm_initial"].values == pytest.approx(start[0])
    late = slice(-15, None)
    norms = {name: (values(one, "weight_norm")[:, late] ** 2).mean() ** 0.5 for name, one in over.items()}
    # the SDE does not feel the signal: |x|^4 is shorter by its share
    share = np.mean(signal[late]) / np.mean(whole[late])
    assert norms["SDE"] / norms["optimizer"] == pytest.approx((1 - share) ** 0.25, rel=0.02)
    # ten steps an epoch and few epochs: no more than the right size is asked of the network
    assert norms["optimizer"] == pytest.approx((values(record, "weight_norm")[:, late] ** 2).mean() ** 0.5, rel=0.1)


def test_without_measured_noise_nothing_is_simulated(records):
    record = load(records["0"])
    record["noise_trace"] = record["noise_trace"] * np.nan
    assert compare.overlays(record) == []


def test_a_norm_that_drifts_slowly_is_compared_and_said_to_drift(records):
    record = load(records["0"])
    assert window_of(record)  # one path: its drift is within the error along it
    record["weight_norm"] = record["weight_norm"] * np.exp(0.007 * record.attrs["relaxation_rate"] * record["epoch"])
    assert not window_of(record)
    found = compare.window(record)
    assert found.epochs == slice(found.first - 1, None)
    assert found.candidate < found.first < 30
    assert "drift" in found.why
    falling = record.copy(deep=True)
    falling["weight_norm"] = falling["weight_norm"] * np.exp(-0.02 * falling["epoch"])
    assert not compare.window(falling)


def test_command_line(records, tmp_path, capsys):
    assert compare.main([*map(str, records.values()), "--out", str(tmp_path), "--keep-in", str(tmp_path / "kept")]) == 0
    shown = capsys.readouterr().out
    assert "epoch, end to end" in shown
    assert "SDE with noise" in shown
    assert len(list(tmp_path.glob("compare-*.png"))) == len(list(tmp_path.glob("overlay-*.png"))) == 2
    kept = sorted((tmp_path / "kept").glob("*.nc"))
    assert [file.name for file in kept] == ["si-mlp-digits-sgd.nc", "si-mlp-digits-sgdm.nc"]
    assert list(load(kept[0])["group"].values) == ["all"]
    # its command names the same training: the record exists, so nothing is trained
    words = json.loads(load(kept[1]).attrs["provenance"])["command"].removeprefix("python -m validation.train ").split()
    folder = str(records["0.9"].parent)
    assert train([*words, "--out", folder, "--quiet", "--no-figure", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reused"]
    damaged = load(records["0.9"])
    damaged["split_drift"] = damaged["split_drift"] + 1
    save(damaged, tmp_path / "damaged.nc")
    assert compare.main([str(tmp_path / "damaged.nc"), "--json"]) == 1
    [found] = json.loads(capsys.readouterr().out)["records"]
    assert [check["holds"] for check in found["identities"]] == [False, True]
    ratio, error = found["balance"]["measured"], found["balance"]["stderr"]
    assert ratio == pytest.approx(1, abs=5 * error + 0.05)
    assert {one["quantity"] for one in found["simulated"]} == {
        "weight_norm", "effective_lr", "angle_step", "angle_epoch"}  # fmt: skip


def test_two_records_of_one_title_are_told_apart_and_never_overwrite_each_other(records, tmp_path, capsys):
    other = load(records["0"])
    other.attrs["digest"] = "f" * 64
    save(other, tmp_path / "other.nc")
    both = [str(records["0"]), str(tmp_path / "other.nc")]
    assert compare.main([*both, "--keep-in", str(tmp_path / "kept")]) == 2
    assert "expected one record a network, data set and optimizer" in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()
    assert compare.main([both[0], "--keep-in", str(tmp_path / "kept")]) == 0
    assert compare.main([both[1], "--keep-in", str(tmp_path / "kept")]) == 0  # the same training: more seeds, say
    made = json.loads(other.attrs["configuration"]) | {"wd": 0.2}
    other.attrs["configuration"] = json.dumps(made)
    save(other, tmp_path / "other.nc")
    assert compare.main([both[1], "--keep-in", str(tmp_path / "kept")]) == 2
    assert "one with other wd" in capsys.readouterr().err
    one, two = keep.titles([load(file) for file in both])
    assert one != two
    assert two.endswith(", ffffff")


def test_records_of_another_source_are_refused(tmp_path, capsys, records):
    record = load(records["0"])
    record.attrs["source"] = "simulate"
    save(record, tmp_path / "other.nc")
    assert compare.main([str(tmp_path / "other.nc")]) == 2
    assert compare.main([str(tmp_path / "missing.nc")]) == 2
    assert json.loads(record.attrs["configuration"])["network"] == "si-mlp"
    assert "expected records of python -m validation.train" in capsys.readouterr().err


def test_claims_are_measured_on_records(records, monkeypatch, tmp_path):
    folder = tmp_path / "networks"
    assert compare.main([*map(str, records.values()), "--out", str(tmp_path), "--keep-in", str(folder)]) == 0
    monkeypatch.setattr(claims, "RECORDS", folder)
    rng = np.random.default_rng(0)
    for name, count in (("network-telescoping", 1), ("network-split", 2)):
        claim = claims.CLAIMS[name]
        found = claim.check(rng)
        assert len(found) == count
        assert all(claim.verdict(one) == "exact" and claim.rejects_wrong(one) for one in found)
    alone = {"network-norm": 1, "network-norm-momentum": 1}
    both = (
        "network-step-angle",
        "network-norm-response",
        "network-free-rotation",
        "network-response",
        "network-asymmetry",
    )
    for name, count in (alone | dict.fromkeys(both, 2)).items():
        found = claims.CLAIMS[name].check(rng)
        assert len(found) == count
        assert np.isfinite([[one.measured, one.predicted, one.wrong] for one in found]).all()


NAMES = ("norms", "rotation 1", "rotation 10", "verdicts", "split", "reshuffling")


def test_the_page_is_written_between_its_marks(records, monkeypatch, tmp_path):
    folder, file = tmp_path / "networks", tmp_path / "networks.md"
    assert compare.main([*map(str, records.values()), "--out", str(tmp_path), "--keep-in", str(folder)]) == 0
    monkeypatch.setattr(page, "EXAMPLE", "si-mlp-digits-sgdm")
    marks = [f"<!-- {name} -->\n\n<!-- end -->\n" for name in NAMES]
    file.write_text("Before.\n" + "Between.\n".join(marks) + "After.\n")
    assert page.main(file, folder) == 0
    written = file.read_text()
    assert written.startswith("Before.\n<!-- norms -->\n| network | norm")
    assert written.endswith("<!-- end -->\nAfter.\n")
    (epoch,) = (one for one in compare.rotations(load(records["0.9"])) if one.name == "lag 10")
    rows = written.split("<!-- rotation 1 -->")[1].split("<!-- end -->")[0].splitlines()
    (row,) = [line for line in rows if "SGDM" in line]
    assert f"{100 * (epoch.measured / epoch.laws[ASYMMETRIC] - 1):+.1f} ± " in row
    assert {"networks-rotation.png", "networks-overlay.png"} <= {one.name for one in tmp_path.iterdir()}
    assert page.main(file, folder) == 0
    assert file.read_text() == written


def test_verify_takes_the_claims_of_a_file(capsys, tmp_path):
    assert verify(["--file", claims.__file__, "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in claims.CLAIMS)
    listed = tmp_path / "listed.py"  # as docs/extend.md writes it
    listed.write_text("from sde_si.verify.claims.steps import CLAIMS")
    assert verify(["--file", str(listed), "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(claim.id in shown for claim in steps.CLAIMS)
    listed.write_text("from sde_si.verify.claims.steps import CLAIMS\nCLAIMS = (*CLAIMS, CLAIMS[0])")
    assert verify(["--file", str(listed)]) == 2
    empty = tmp_path / "empty.py"
    empty.write_text("CLAIMS = {}")
    assert verify(["--file", str(empty)]) == 2
    assert verify(["--file", str(tmp_path / "none.py")]) == 2
    assert "expected a file that exists" in capsys.readouterr().err


def test_the_committed_records_are_small_and_say_how_to_make_them_again():
    files = sorted(claims.RECORDS.glob("*.nc"))
    assert len(files) >= 10
    for file in files:
        stated, true = checksums(file.read_bytes())
        assert stated == true
        assert file.stat().st_size < 60_000 * max(5, load(file).sizes["path"])
        whence = json.loads(load(file).attrs["provenance"])
        assert whence["command"].startswith("python -m validation.train --")
        assert whence["seconds"] > 0
