"""The comparison, the claims and their page on every committed record."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from committed import FILES, file_of, instead_of_simulations  # noqa: E402

from sde_si import theory  # noqa: E402
from sde_si.estimators import values  # noqa: E402
from sde_si.record import configuration, load  # noqa: E402
from sde_si.verify.claim import EXACT, FAILS, HOLDS, REFUTED, UNDECIDED, Result  # noqa: E402
from sde_si.verify.cli import main as verify  # noqa: E402
from validation import bounds, claim_measures, claims, compare  # noqa: E402
from validation.compare import overlay, page, seeds, tables  # noqa: E402
from validation.compare.compared import Compared  # noqa: E402
from validation.compare.identities import split  # noqa: E402
from validation.compare.rotation import NOISE_ONLY, RESHUFFLED  # noqa: E402
from validation.compare.window import configured, setting  # noqa: E402

SIMULATED = ("network-norm", "network-norm-momentum", "network-step-optimizer", "network-sde")
QUICK = [name for name in claims.CLAIMS if name.startswith("network-norm-response") or not name.startswith(SIMULATED)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_committed_record_is_compared(file, monkeypatch):
    one = bounds.compared(file)
    record = one.record
    checks = compare.identities(record)
    assert checks
    assert all(one.left <= one.allowed for one in checks), checks
    assert all(np.isfinite([found.measured, found.stderr]).all() for found in one.turned)
    for found in one.turned:
        assert found.over.keys() == found.laws.keys()
        for name, off in found.over.items():
            assert off.value == pytest.approx(found.measured / found.laws[name] - 1, rel=1e-9)
            assert off.freedom == record.sizes["path"] - 1 if record.sizes["path"] > 2 else off.freedom > 1
    seen = instead_of_simulations(monkeypatch, record)
    over = compare.overlays(record)
    assert [one.name for one in over] == ["SDE", "optimizer"]
    assert len(seen) == 2
    for name in overlay.SHOWN:
        off = overlay.beside(record, over[0], name)[1]
        assert off.value == pytest.approx(0, abs=1e-12)  # its own record in the place of a simulation
        assert 0 < off.stderr < 0.05


def _length_by_gradients(record):
    """|x| at the ends of epochs by the recorded gradients alone, each independent of the velocity (1.1, 9.2)."""
    lr, u, mu, _ = setting(record)
    steps = record["steps_per_epoch"].values
    squared = record["gradient"].sel(group="all").transpose("epoch", "path").values
    R, out = record["weight_norm_initial"].sel(group="all").values ** 2, []
    along, velocity = 0 * R, 0 * R
    for e, n in enumerate(steps):
        for _ in range(n):
            velocity = mu**2 * velocity - 2 * mu * u * along + u**2 * R + lr**2 * squared[e] / R
            pulled = mu * along - u * R
            R, along = R + 2 * pulled + velocity, pulled + velocity
        out.append(R**0.5)
    return np.transpose(out)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_length_of_the_first_epochs_is_that_of_the_gradients_without_momentum_only(momentum):
    """With it they pull one way for many steps at first; the numbers are those of the page."""
    chosen = [record for record in map(load, FILES)
              if setting(record).momentum == momentum and configured(record)["svag"] == 1]  # fmt: skip
    assert len(chosen) == (9 if momentum else 6)
    for record in chosen:
        off = (_length_by_gradients(record) / values(record, "weight_norm")).mean(axis=0) - 1
        if momentum:
            assert -0.36 < off[0] < -0.10
            assert np.abs(off[30:]).max() < 0.055
        else:
            assert np.abs(off).max() < 0.0085


def test_tables_and_claims_of_a_record_without_theory_are_empty():
    record = load(FILES[0])
    unmeasured = record.assign(noise_trace=record["noise_trace"] * np.nan)
    other = record.copy()
    other.attrs["configuration"] = json.dumps(configuration(record) | {"optimizer": "adamw"})
    for one in map(Compared, (unmeasured, other)):
        assert one.simulations == []
        cells = tables.norms([one]).splitlines()[-1].split(" | ")
        assert cells[2:4] == ["-", "-"]
        assert claim_measures.simulated("SDE", "weight_norm", 2)(one) == []
    assert cells[7] == "- |"
    assert claim_measures.step(one) == claim_measures.telescoping(one) == []


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_committed_record_is_compared_by_the_command_line(file, tmp_path, capsys):
    assert compare.main([str(file), "--out", str(tmp_path), "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)["records"]
    assert len(found["figures"]) == 2
    assert found["split"] is None or sum(found["split"][part]["measured"] for part in (
        "decay", "velocity", "drift")) == pytest.approx(found["split"]["cosine"]["measured"], abs=1e-5)  # fmt: skip


def test_older_records_have_the_trainers_defaults():
    record = load(file_of("si-mlp-digits-shift-svag4"))
    assert "rescale" not in configuration(record)
    assert configured(record)["rescale"] is False
    assert configured(record)["norm"] == "batch"
    assert configured(record)["svag"] == 4


def test_a_reshuffled_step_is_the_mean_of_all_steps_of_an_epoch():
    record = load(file_of("si-mlp-fashion-mnist-sgdm-reshuffled"))
    found = {one.name: one for one in compare.rotations(record)}
    free = 1.6e-4 / 1.9
    places = [theory.reshuffled_versines(32, 1.6e-4, 0.9, 1, start=start)[1] for start in range(32)]
    assert places[4] / free > 1.2
    assert found["one step"].laws[RESHUFFLED] == pytest.approx(np.mean(places), rel=1e-9)
    assert found["one step"].laws[RESHUFFLED] == pytest.approx(free, rel=1e-3)
    assert found["lag 1"].laws[RESHUFFLED] == pytest.approx(places[0], rel=1e-9)  # lags begin with an epoch


def test_the_split_answers_how_much_decay_explains():
    """The numbers of `si-mlp` on digits with momentum: decay turns by .055, gradients bring .0226 back."""
    found = split(load(file_of("si-mlp-digits-shift-sgdm")))
    assert sum(found[part].value for part in ("decay", "velocity", "drift")) == pytest.approx(
        found["cosine"].value, abs=1e-6
    )
    assert found["decay"].value == pytest.approx(0.9449, abs=2e-4)
    assert found["drift"].value == pytest.approx(0.0226, abs=2e-4)


def test_reshuffling_is_measured_against_the_same_seeds():
    digits, fashion = tables.reshuffling([bounds.compared(file) for file in FILES]).splitlines()[2:]
    assert "| -2.3 ± 0.6 % |" in digits
    assert "| -4.3 ± 0.5 % |" in fashion


def _verdicts(names, tmp_path, capsys):
    words = ["--file", claims.__file__, "--claims", ",".join(names), "--controls", "--no-figure", "--quiet", "--json"]
    code = verify([*words, "--out", str(tmp_path)])
    return code, json.loads(capsys.readouterr().out)


def _as_expected(names, tmp_path, capsys):
    code, rows = _verdicts(names, tmp_path, capsys)
    assert code == 0
    assert {row["id"] for row in rows} == set(names)
    assert [row for row in rows if row["verdict"] != row["expected"]] == []


def test_the_committed_records_give_the_expected_verdicts(tmp_path, capsys):
    assert len(QUICK) == 11
    _as_expected(QUICK, tmp_path, capsys)


@pytest.mark.slow
def test_the_simulations_beside_the_committed_records_do_too(tmp_path, capsys):
    _as_expected(list(claims.CLAIMS), tmp_path, capsys)


def test_a_network_in_the_wrong_list_is_seen():
    claim = claims.CLAIMS["network-response-refuted"]
    wrong = dataclasses.replace(claim, id="wrong", expected=UNDECIDED)
    result = Result(wrong, wrong.check(np.random.default_rng(0)), 0.0)
    assert result.verdict == REFUTED
    assert not result.as_expected


def test_the_page_says_what_the_records_do():
    """The tables that need no simulation, and how many claims are expected to come out how."""
    said, every = page.PAGE.read_text(), [bounds.compared(file) for file in FILES]
    drawn = [one for one in every if not one.reshuffled]
    made = [tables.rotation(drawn, 1), tables.rotation(drawn, 10), tables.verdicts(drawn), tables.splits(every),
            tables.reshuffling(every)]  # fmt: skip
    assert [table for table in made if table not in said] == []
    expected = Counter(claim.expected for claim in claims.CLAIMS.values())
    flat = " ".join(said.split())
    assert f"measures {expected.total()} claims on these records" in flat
    assert (
        f"{expected[EXACT]} are exact, {expected[HOLDS]} hold, {expected[FAILS]} fails as theory says (noise alone), "
        f"{expected[UNDECIDED]} are expected undecided and {expected[REFUTED]} refuted"
    ) in flat


def test_noise_alone_is_not_taken_for_a_law_of_networks():
    one = bounds.compared(file_of("si-mlp-digits-shift-sgdm"))
    far = [r for r in one.turned if r.name.startswith("lag") and r.steps >= 44]
    assert {seeds.decide(r.over[NOISE_ONLY], 0.15) for r in far} == {REFUTED}
