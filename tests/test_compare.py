"""Theory laid over a trained network: identities that a damaged record fails, laws, the command line."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from sde_si import theory  # noqa: E402
from sde_si.record import load, save  # noqa: E402
from validation import compare  # noqa: E402
from validation.train.cli import main as train  # noqa: E402

WORDS = ["--network", "si-mlp", "--width", "8", "--blocks", "2", "--data", "digits", "--N", "320", "--B", "32",
         "--quiet", "--norm-eps", "0", "--precision", "fp64", "--no-figure", "--sampling", "replacement",
         "--noise-batches", "0", "--evaluate-every", "50"]  # fmt: skip


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """SGD without and with momentum, long enough for an equilibrium, with curvature."""
    folder, out = tmp_path_factory.mktemp("trained"), {}
    for momentum, wd in (("0", "0.3"), ("0.9", "0.03")):
        before = set(folder.glob("*.nc"))
        words = [*WORDS, "--momentum", momentum, "--wd", wd, "--epochs", "30", "--lags", "1,5,10", "--curvature", "2"]
        assert train([*words, "--seeds", "1", "--out", str(folder)]) == 0
        [out[momentum]] = set(folder.glob("*.nc")) - before
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
    epoch = found["epoch, end to end"]
    assert epoch.steps == 10
    assert epoch.laws["noise alone (9.2)"] == pytest.approx(1 - theory.lag_cosines(10, 0.003, 0.9)[-1])
    assert epoch.laws["confined (18.2)"] < epoch.laws["noise alone (9.2)"]
    assert found["lag 10"].laws == epoch.laws
    assert 0 <= compare.unstable_share(record) < 1


def test_command_line(records, tmp_path, capsys):
    assert compare.main([*map(str, records.values()), "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "epoch, end to end" in shown
    assert len(list(tmp_path.glob("compare-*.png"))) == 2
    damaged = load(records["0.9"])
    damaged["split_drift"] = damaged["split_drift"] + 1
    save(damaged, tmp_path / "damaged.nc")
    assert compare.main([str(tmp_path / "damaged.nc")]) == 1
    assert "DOES NOT HOLD" in capsys.readouterr().out


def test_records_of_another_source_are_refused(tmp_path, capsys, records):
    record = load(records["0"])
    record.attrs["source"] = "simulate"
    save(record, tmp_path / "other.nc")
    assert compare.main([str(tmp_path / "other.nc")]) == 2
    assert compare.main([str(tmp_path / "missing.nc")]) == 4
    assert json.loads(record.attrs["configuration"])["network"] == "si-mlp"
    assert "expected records of python -m validation.train" in capsys.readouterr().err
