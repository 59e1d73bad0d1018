"""Tune: what a stranger found."""

from __future__ import annotations

import json
import math

import pytest

from sde_si.hyperparameters import HyperParameters
from sde_si.tune import explain
from sde_si.tune.cli import main

STEPS = HyperParameters(N=50_000, B=128, lr=0.1, wd=2e-4, momentum=0.9, epochs=300, schedule="multi-step:150,225")


# -- explain ------------------------------------------------------------------------------------------------------


def test_json_of_an_explanation_has_the_warnings_of_the_text(capsys, tmp_path):
    words = "explain --N 50000 --B 128 --wd 2e-4 --epochs 300 --schedule multi-step:150,225 --no-figure".split()
    assert main([*words, "--out", str(tmp_path)]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert main([*words, "--json", "--out", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)["warnings"]
    assert [f"warning: {one['text']}" for one in told] == said
    assert [one["kind"] for one in told] == ["equilibrium"] * 2
    assert told[1]["number"] == pytest.approx(0.258, abs=1e-3)
    assert told[1]["limit"] == pytest.approx(0.98)
    # negative control: a phase that is long enough is not warned of
    assert not explain(STEPS.replace(schedule="constant")).to_json()["warnings"]


def test_warnings_without_an_angle_are_of_the_relaxation():
    """AdamW has no angle under a schedule; without decay the time is infinite, which JSON does not know."""
    [one] = explain(STEPS.replace(epochs=20, schedule="cosine"), optimizer="adamw").to_json()["warnings"]
    assert (one["kind"], one["limit"]) == ("transient", 20)
    assert one["number"] > 20
    free = explain(STEPS.replace(wd=0.0, epochs=5, schedule="constant"), init_norm=10.0, noise_trace=3.0)
    assert json.dumps(free.to_json(), allow_nan=False)
