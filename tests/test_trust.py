"""Whether the claims can be trusted: mistakes put into the code, false alarms, and the law of the errors over seeds."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from sde_si.verify import CLAIMS
from validation import false_alarms, mutants, zscores, zscores_page

RECORD = {name: found for name, found in zscores.load().items() if name in CLAIMS}


@pytest.fixture(scope="module")
def rows():
    return zscores_page.table(RECORD)


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_still_fits_the_code(mutant, tmp_path):
    package = mutants.fresh_copy(tmp_path)
    mutants.mutate(mutant, package)
    assert (package / mutant.file).read_text() != (mutants.PACKAGE / mutant.file).read_text()
    assert set(mutant.claims) <= set(CLAIMS)


@pytest.mark.parametrize(
    ("old", "new"), [("no such text", "x"), ("x[p, i]", "y[p, i]"), ("def euler_step", "def euler_step")]
)
def test_a_mutant_that_no_longer_fits_stops_the_script(old, new, tmp_path):
    mutant = mutants.Mutant("stale", "methods/optimizers.py", old, new, ())
    with pytest.raises(mutants.Stale, match="stale"):
        mutants.mutate(mutant, mutants.fresh_copy(tmp_path))


def test_a_rejection_needs_more_than_tolerance_and_errors():
    row = {"id": "norm", "system": "s", "verdict": "refuted", "expected": "holds", "predicted": 1.0, "truth": None,
           "measured": 1.2, "stderr": 0.01, "tolerance": {"a": 0.02}, "z": 20.0}  # fmt: skip
    [found] = mutants.rejections([row])
    assert found.ratio == pytest.approx(4)
    for change in ({"verdict": "holds"}, {"measured": None}, {"verdict": "undecided", "stderr": 0.1}):
        assert not mutants.rejections([row | change])


def test_only_the_same_numbers_confirm_a_record():
    one = {"system": "a", "predicted": 1.0, "truth": None, "measured": 1.01, "stderr": 0.01}
    found = {"measurements": [one, one | {"stderr": 1e-17}]}
    assert zscores.same(found, {"measurements": [one | {"system": "b"}, one | {"stderr": 3e-17}]})
    for change in ({"measured": 1.01001}, {"truth": 1.0}, {"predicted": 1.00001}, {"stderr": 0.0101}):
        assert not zscores.same(found, {"measurements": [one | change, one | {"stderr": 1e-17}]})
    assert not zscores.same(found, {"measurements": [one]})


def test_mutants_have_names_of_their_own():
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS) >= 12


@pytest.mark.slow
def test_every_mutant_is_caught(tmp_path):
    found = mutants.run(mutants.MUTANTS, tmp_path)
    assert [name for name, rejected in found.items() if not rejected] == []


def test_the_quick_set_rings_falsely_less_than_once_in_10_000_runs(rows):
    assert sum(row.alarm for row in rows) < false_alarms.LIMIT
    # A claim that fails is held to ten standard errors, not to its tolerance.
    assert all(row.precision < 1 / 3 for row in rows if row.claim.expected != "fails")


def test_the_bound_sees_what_makes_a_claim_ring():
    """Few paths, an error near a third of the tolerance, a deviation near its edge."""
    claim = dataclasses.replace(CLAIMS["norm"], tolerance={"Monte Carlo": 0.05, "theory": 0.01})

    def alarm(stderr, off, samples, claim=claim):
        one = {"predicted": 1.0, "truth": None, "measured": 1 + off, "stderr": stderr}
        return false_alarms.probability(claim, [one], samples)

    assert alarm(0.008, 0.0, 192) < 1e-9
    assert alarm(0.014, 0.0, 24) > 1e-3, "the error may come out above a third of the tolerance"
    assert alarm(0.008, 0.04, 48) > 0.005, "a systematic deviation leaves too little room"
    bare = dataclasses.replace(claim, tolerance={"Monte Carlo": 0.06})
    five = alarm(0.012, 0.0, 1_000_000, bare)
    assert five == pytest.approx(5.733e-7, rel=0.01), "five standard errors of the normal law"
    # a claim that fails: the predicted deviation of 0.25 to 20 %
    fails = dataclasses.replace(CLAIMS["yun-18"], tolerance={"all": 0.01})
    one = {"predicted": 1.0, "truth": 0.75, "measured": 0.75, "stderr": 0.0025}
    assert false_alarms.probability(fails, [one], 192) < 1e-30
    assert false_alarms.probability(fails, [one | {"stderr": 0.02}], 192) > 0.01


def test_the_law_of_the_errors_is_standard_normal(rows):
    z = zscores_page.pooled(rows)
    by_seed = (z**2).mean(axis=0)
    assert abs(z.mean()) < 5 * z.mean(axis=0).std(ddof=1) / np.sqrt(by_seed.size)
    assert abs(by_seed.mean() - 1) < 5 * by_seed.std(ddof=1) / np.sqrt(by_seed.size)
    assert zscores_page.distance(z)[1] > 1e-3
    assert zscores_page.distance(z + 0.5)[1] < 1e-3
    assert zscores_page.distance(1.6 * z)[1] < 1e-3


def test_every_large_or_systematic_deviation_is_explained(rows):
    assert zscores_page.unexplained(rows) == []


@pytest.mark.slow
def test_the_page_is_that_of_the_record():
    record = json.loads(zscores.RECORD.read_text())
    assert zscores_page.PAGE.read_text() == zscores_page.page(record, zscores.stale(record))


@pytest.mark.slow
def test_the_record_knows_every_statistical_claim():
    """Else: ``python -m validation.zscores``, which measures what is missing."""
    assert {claim.id for claim in zscores.statistical()} <= set(RECORD)
    assert all(len(seeds) >= zscores.SEEDS for seeds in RECORD.values())
