"""The range test of lr: its ramp, what is read from it, its figures."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from sde_si import BadInput
from sde_si.tune.ramp_reading import learning_rates, read


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


def test_a_range_that_is_not_smoothed_says_so():
    lr = np.geomspace(1e-4, 1, 12)
    for smoothing, label in ((0.0, "not smoothed"), (0.5, "smoothed by 0.5")):
        found = read(lr, (np.log10(lr) + 2) ** 2, ramp="exponential", smoothing=smoothing)
        labels = found.figure().axes[0].get_legend_handles_labels()[1]
        assert label in labels


def curved(points, noise, rng):
    """A loss that falls by 1 within two decades and then diverges: curved wherever it is tried."""
    x = np.linspace(-4, 1, points)
    falls = 2 - 1.2 / (1 + np.exp(-2 * (x + 2))) + np.where(x > -0.5, np.exp(2 * x), 0)
    return 10**x, falls + noise * rng.standard_normal(points)


@pytest.mark.parametrize("points", [8, 10, 16, 60])
@pytest.mark.parametrize("noise", [0, 0.005, 0.02])
def test_curvature_is_no_noise(points, noise, seed):
    lr, loss = curved(points, noise, np.random.default_rng(seed))
    found = read(lr, loss, ramp="exponential", smoothing=0.0, runs=True)
    assert found.suggestion, found.because
    clean = curved(points, 0, np.random.default_rng(0))[1]
    off = found.suggestion * 10 / lr[np.argmin(clean)]
    assert abs(math.log10(off)) < 1.1 * 5 / (points - 1)  # within a step of the ramp
    # upside down nothing falls but noise and the divergence
    assert not read(lr, -loss + 2 * loss.max(), ramp="exponential", smoothing=0.0, runs=True).suggestion


@pytest.mark.parametrize(("points", "smoothing"), [(6, 0), (8, 0), (16, 0), (60, 0), (200, 0), (20, 0.9), (100, 0.9)])
@pytest.mark.parametrize("sign", [1, -1])
def test_pure_noise_has_no_suggestion(points, smoothing, sign, seed):
    """In at most 1 % of ramps a loss of noise alone is said to fall and rise; before, in 3 to 88 %."""
    rng, lr = np.random.default_rng(seed), learning_rates(1e-4, 10, points, "exponential")
    tries = 800

    def passes(loss, error=None):
        why = read(lr, loss, ramp="exponential", smoothing=smoothing, error=error).because
        return "falls clearly" not in why and "still falling or flat" not in why

    noise = [sign * rng.standard_normal(points) for _ in range(tries)]
    assert sum(passes(one) for one in noise) <= 0.01 * tries + 3 * math.sqrt(0.01 * tries)
    assert sum(passes(one, np.ones(points)) for one in noise) <= 0.01 * tries + 3 * math.sqrt(0.01 * tries)
    # a loss at the end that is lost instead of a rise: the fall alone must be clear
    if points > 6:
        lost = [np.append(one[:-1], math.nan) for one in noise]
        assert sum(passes(one) for one in lost) <= 0.02 * tries + 3 * math.sqrt(0.02 * tries)


def test_an_interval_that_begins_at_the_suggestion_says_so():
    lr = learning_rates(1e-4, 10, 26, "exponential")
    late = np.where(lr < 0.3, 1.0, 1 - np.minimum(lr, 1) + np.maximum(lr - 1, 0)) + 1e-3 * (np.arange(26) % 2)
    found = read(lr, late, ramp="exponential", smoothing=0.0, runs=True)
    assert found.low == found.suggestion
    assert "from the suggestion itself, as the fall is clear only from lr = 0." in found.evidence
    early = read(lr, np.abs(np.log(lr)), ramp="exponential", smoothing=0.0, runs=True)
    assert early.low < early.suggestion
    assert "from where it has clearly begun to fall to a third" in early.evidence


def test_an_optimizer_that_needs_a_closure_is_refused():
    torch = pytest.importorskip("torch")
    from sde_si.tune import lr_range

    model = torch.nn.Linear(3, 1)
    with pytest.raises(BadInput, match=r"closure.*got LBFGS"):
        lr_range(model, torch.optim.LBFGS(model.parameters()), [torch.ones(1, 3)], lambda m, b: m(b).sum())
