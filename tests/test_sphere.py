"""Training on the sphere: the toy against the general kernel and an independent program, thresholds, the command."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from sde_si import BadInput, HyperParameters, Problem
from sde_si.resolve import resolve
from sde_si.simulate.session import Session
from sde_si.sphere import Setting, bisect, courses, line, sweep
from sde_si.sphere.cli import main, read_rates
from sde_si.sphere.lyapunov import BLOCKS, lyapunov, tell
from sde_si.sphere.report import to_json
from sde_si.sphere.threshold import Bracket, Line, doubt, falls
from sde_si.sphere.toy import Pairs, random_squares
from sde_si.verify import CLAIMS, Result


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """The command writes its records into ./runs."""
    monkeypatch.chdir(tmp_path)


def gradient(x, alphas):
    """Gradient of sum alpha_i x_i^2/(x_i^2 + y_i^2), weights (2n,) as x1, y1, x2, ... by the quotient rule."""
    out = np.empty_like(x)
    for i, alpha in enumerate(alphas):
        a, b = x[2 * i], x[2 * i + 1]
        r = a * a + b * b
        out[2 * i] = alpha * (2 * a * r - a * a * 2 * a) / r**2
        out[2 * i + 1] = -alpha * a * a * 2 * b / r**2
    return out


def descend(x, eta, alphas, steps):
    """Projected gradient descent in plain NumPy, an independent program."""
    x = x / np.linalg.norm(x)
    for _ in range(steps):
        x = x - eta * gradient(x, alphas)
        x /= np.linalg.norm(x)
    return x


@pytest.mark.parametrize("n", [1, 3, 10])
def test_an_independent_program_finds_the_same_border(n):
    """Angles and logarithms of lengths instead of weights: 20 starts converge at 0.95, none at 1.01."""
    alphas, rng = np.arange(1.0, n + 1), np.random.default_rng(5)
    angle = np.repeat(rng.uniform(0, np.pi, (20, n)), 2, axis=0)
    log_share = np.repeat(np.log(rng.dirichlet(np.ones(n), 20)), 2, axis=0)
    eta = np.tile([0.95, 1.01], 20)[:, None] / alphas.sum()
    for _ in range(15_000):
        # x = cos(angle): a step turns a group by the arctangent of its effective step, towards x = 0
        step = eta * alphas * np.exp(-log_share) * np.sin(2 * angle)
        angle = angle + np.arctan(step)
        log_share = log_share + np.log1p(step**2)
        log_share -= np.logaddexp.reduce(log_share, axis=1, keepdims=True)
    loss = (alphas * np.cos(angle) ** 2).sum(axis=1) / alphas.sum()
    assert (loss[0::2] < 1e-6).all()
    assert (loss[1::2] > 1e-3).all()
    pairs = Pairs(random_squares(n, 20, rng), 0.95 / alphas.sum(), alphas)
    pairs.advance(15_000)
    assert (pairs.loss < 1e-6 * alphas.sum()).all()


def squares_of(x):
    """Weights (start, 2n) as the toy's squares (2, n, start)."""
    return np.stack([x[:, 0::2].T ** 2, x[:, 1::2].T ** 2])


@pytest.mark.parametrize("alphas", [(1.0,), (1.0, 2.0, 4.0), (3.0, 0.5, 1.0, 1.0, 2.0)])
@pytest.mark.parametrize("eta", [0.05, 0.2, 2.0])
def test_pairs_agree_with_an_independent_program(alphas, eta):
    x = np.random.default_rng(1).standard_normal((5, 2 * len(alphas)))
    pairs = Pairs(squares_of(x), eta, np.array(alphas))
    pairs.advance(12)
    expected = squares_of(np.array([descend(row, eta, alphas, 12) for row in x]))
    np.testing.assert_allclose(pairs.squares, expected, rtol=1e-9, atol=1e-13)


def test_pairs_agree_with_the_general_kernel_to_rounding():
    eta, alphas = 0.11, (1.0, 2.0, 4.0)
    hp = HyperParameters(N=1, B=1, lr=eta, wd=0.0, momentum=0.0, epochs=40)
    run = resolve(Problem("groups", alphas=alphas), hp, method="sgd", paths=7, seed=3, init_norm=1.0)
    session = Session(run.replace(constraint="total", noise="none"))
    pairs = Pairs(squares_of(session.blocks[0].x), eta, np.array(alphas))
    session.advance()
    for epoch in range(40):
        before = pairs.angle
        pairs.advance(1)
        norm = session.results["weight_norm"][:, epoch]
        np.testing.assert_allclose(session.results["loss"][:, epoch], pairs.loss, rtol=1e-11, atol=1e-15)
        np.testing.assert_allclose(norm[:, :3] ** 2, pairs.shares.T, rtol=1e-11)
        np.testing.assert_allclose(session.results["angle_step"][:, epoch, -1], before, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(np.sqrt(session.results["signal"][:, epoch, -1]), pairs.gradient_norm, rtol=1e-10)


def test_the_time_means_are_those_of_every_iterate():
    rng = np.random.default_rng(0)
    alphas = np.array([1.0, 2.0])
    squares = random_squares(2, 70, rng)
    whole, single = Pairs(squares, 0.5, alphas, 2), Pairs(squares, 0.5, alphas, 1)
    whole.advance(37)
    loss, growth = [], []
    for _ in range(37):
        loss.append(single.loss)
        growth.append(np.log1p(single.effective_steps**2))
        single.advance(1)
    np.testing.assert_allclose(whole.mean_loss, np.mean(loss, axis=0), rtol=1e-6)
    np.testing.assert_allclose(whole.mean_growth, np.mean(growth, axis=0), rtol=1e-6)
    assert (np.abs(whole.shares.sum(axis=0) - 1) < 1e-12).all()


@pytest.mark.parametrize("a", [3.0, 100.0, 1000.0, 1e8])
def test_bursts_are_those_of_single_steps(a):
    """Far above the threshold shares fall to nothing and come back at once: nothing may over- or underflow."""
    alphas = np.arange(1.0, 11)
    squares = random_squares(10, 64, np.random.default_rng(0))
    many, single = (Pairs(squares, a / alphas.sum(), alphas, 1) for _ in range(2))
    many.advance(2000)
    for _ in range(2000):
        single.advance(1)
    assert np.isfinite(many.sums).all()
    np.testing.assert_allclose(many.shares.sum(axis=0), 1, rtol=1e-12)
    # the same distribution: rounding alone parts chaotic paths
    np.testing.assert_allclose(many.mean_growth.mean(), single.mean_growth.mean(), rtol=0.03)
    np.testing.assert_allclose(many.mean_loss.mean(), single.mean_loss.mean(), rtol=0.01)
    assert many.shares.min() > 1e-6 * single.shares.min()


def test_numbers_depend_neither_on_threads_nor_on_other_starts():
    squares = random_squares(3, 200, np.random.default_rng(2))
    some, all_ = Pairs(squares[:, :, :40], 0.3, np.ones(3), 1), Pairs(squares, 0.3, np.ones(3), 2)
    some.advance(500)
    all_.advance(500)
    np.testing.assert_array_equal(some.squares, all_.squares[:, :, :40])


def test_groups_constraint_holds_every_length():
    [course] = courses(Setting(problem=Problem("groups"), constraint="groups", iterations=200, starts=4), [0.2])
    np.testing.assert_allclose(course.weight_norm[:, :, :3], 1 / np.sqrt(3), rtol=1e-13)
    np.testing.assert_allclose(course.individual_lr, 0.6, rtol=1e-12)


def test_a_long_path_is_held_as_a_short_one_is():
    hp = HyperParameters(N=3, B=1, lr=0.1, wd=0.0, momentum=0.0, epochs=2)
    for constraint in ("total", "groups"):
        run = resolve(Problem("vmf", dim=70_000), hp, method="em", substeps=2, paths=1, init_norm=1.0)
        session = Session(run.replace(constraint=constraint))
        session.advance()
        np.testing.assert_allclose(session.results["weight_norm"], 1.0, rtol=1e-12)
        # a tangent step of mean square eta^2 c (d - 1) h, retracted: each substep turns by its arctangent
        steps = session.results["angle_step"][0, :, 0]
        turn = np.arctan(np.sqrt(0.1**2 * 69_999 / 2))
        np.testing.assert_allclose(steps, np.arccos(np.cos(turn) ** 2), rtol=0.02)


@pytest.mark.parametrize(
    "name",
    ["equal-growth", "convergence", "no-convergence", "one-group-no-chaos", "chaos-onset", "neutral-modes", "mean-loss",
     "saturation", "divergence"],
)  # fmt: skip
@pytest.mark.parametrize("seed", [1, 2])
def test_claims_hold_from_any_seed(name, seed):
    claim = CLAIMS[f"sphere-{name}"]
    result = Result(claim, claim.check(np.random.default_rng(seed)), 0.0)
    assert result.as_expected
    assert result.controls


@pytest.mark.parametrize("guess", [pytest.param(0.02, marks=pytest.mark.slow), 0.7])
def test_the_threshold_is_found_from_any_guess(guess):
    setting = Setting(problem=Problem("groups", alphas=(1.0, 3.0)), starts=16)
    bracket = bisect(setting, guess)
    assert bracket.converges <= 0.25 <= bracket.fails
    assert bracket.fails - bracket.converges <= 1.01e-4 * 0.25
    zero = line(setting, bracket.value)
    assert abs(zero.value - 0.25) < 1e-6 * 0.25
    assert zero.slope == pytest.approx(-0.5, rel=1e-4)
    # the line is not drawn through the answer: a threshold 1 % off is told apart by its own error
    assert abs(zero.value - 0.2525) > 1000 * zero.stderr


@pytest.mark.parametrize(
    ("problem", "given", "threshold"),
    [(Problem("vmf", dim=6, noise_scale=0.0), {}, 2.0), (Problem("groups"), {"constraint": "groups"}, 1 / 12)],
)
def test_outside_the_toy_the_bracket_is_as_narrow(problem, given, threshold):
    found = sweep(problem, (0.6 * threshold, 1.9 * threshold), starts=4, iterations=1000, exponents=False, **given)
    assert found.bracket is not None
    assert found.bracket.converges <= threshold <= found.bracket.fails
    assert found.bracket.fails - found.bracket.converges <= 1.01e-4 * threshold
    assert not found.threshold_why


def test_a_rate_at_the_threshold_itself_is_run_once_only():
    """Halves of a bracket fall on round thresholds again and again."""
    setting = Setting(problem=Problem("vmf", dim=4, noise_scale=0.0), starts=2)
    bracket = bisect(setting, 1.6, tolerance=1e-3, longest=20_000)
    assert bracket.converges < 2 < bracket.fails
    assert bracket.runs < 25


def test_a_bracket_that_stays_wide_says_so():
    found = sweep(Problem("vmf", dim=70, noise_scale=0.0), (1.0, 3.0), starts=4, iterations=500)
    assert found.bracket is not None
    assert found.bracket.fails - found.bracket.converges <= 1.01e-3 * 2
    assert "not 0.0001" in found.threshold_why
    assert to_json(found)["threshold_why"] == found.threshold_why


def test_the_threshold_of_another_loss_by_bisection_alone():
    found = sweep(Problem("pca", dim=6), (0.1, 1.0), starts=8, iterations=2000)
    assert found.line is None
    assert found.bracket is not None
    assert found.threshold_predicted is not None
    assert found.bracket.converges * 0.999 <= found.threshold_predicted <= found.bracket.fails * 1.001
    assert [point.regime.name for point in found.points] == ["convergence", "chaotic equilibrium"]


def test_a_regression_has_all_three_regimes():
    """Its teacher fits: minibatch noise vanishes at the minimum, and far from it SGD walks at random."""
    problem = Problem("regression", dim=128, spectrum=(1.0,), target_noise=0.0)
    found = sweep(problem, (0.02, 0.1, 3.0), noise="minibatch", N=512, B=4, starts=8, iterations=6000)
    assert [point.regime.name for point in found.points] == ["convergence", "chaotic equilibrium", "divergence"]
    assert found.bracket is None


@pytest.mark.parametrize(("name", "dim", "rates"), [("pca", 16, (0.107, 0.247)), ("vmf", 16, (0.462, 1.6)),
                                                    ("pca", 6, (0.05, 0.2))])  # fmt: skip
def test_a_run_that_collapsed_before_its_first_sample_has_converged(name, dim, rates):
    found = sweep(Problem(name, dim=dim), rates, threshold=False, starts=8, iterations=20_000, noise="none")
    for point in found.points:
        assert point.gradient_norm < 1e-13
        assert (point.regime.name, point.regime.confidence) == ("convergence", 1.0)


@pytest.mark.parametrize("guess", [0.02, 0.1, 0.3])
def test_a_collapse_before_the_first_sample_does_not_mislead_the_bisection(guess):
    """A threshold far above: samples come 201 iterations apart at the end, the collapse takes a dozen."""
    setting = Setting(problem=Problem("pca", dim=6), starts=8)
    assert (falls(setting, guess, 100_000) > 5).all()


def test_a_slow_system_gets_its_threshold_or_none():
    """One stiff pair and one slow one: what has not begun to fall is not said not to converge."""
    problem = Problem("groups", alphas=(1000.0, 0.001))
    found = sweep(problem, (0.01, 0.02), starts=4, iterations=1000, exponents=False)
    assert found.bracket is not None
    assert found.bracket.value * 1000.001 == pytest.approx(1, rel=1e-3)
    assert found.threshold_measured is not None
    assert abs(found.threshold_measured - 1 / 1000.001) < 5 * found.threshold_stderr
    nan = float("nan")
    none = dataclasses.replace(found, line=Line(nan, nan, nan, np.ones(1), np.ones(1), np.ones(1)))
    assert none.threshold_measured is None
    assert none.disagree
    assert json.loads(json.dumps(to_json(none), allow_nan=False))["threshold_line"]["zero"] is None


@pytest.mark.filterwarnings("error")
def test_a_group_that_has_fallen_below_all_numbers_comes_back():
    """A stiff group falls by hundreds of orders before the other's share lets it grow: above the threshold it must."""
    setting = Setting(problem=Problem("groups", alphas=(1.0, 1000.0)), starts=16)
    bracket = bisect(setting, 0.001)
    assert bracket.converges <= 1 / 1001 <= bracket.fails
    assert bracket.fails - bracket.converges <= 1.01e-4 / 1001
    above = Pairs(random_squares(2, 16, np.random.default_rng(0)), 0.0009993, np.array([1.0, 1000.0]))
    above.advance(2_000_000)
    above.forget()
    above.advance(100_000)
    assert (above.losses.sum(axis=0) <= above.loss).all()
    np.testing.assert_allclose(above.mean_loss, (1001 - 1 / 0.0009993) / 2, rtol=0.05)


def test_two_measurements_that_differ_are_none():
    zeros = Line(0.25, 1e-6, -0.5, np.ones(1), np.ones(1), np.ones(1))
    assert not doubt(Bracket(0.2499, 0.2501, 1), zeros)
    assert "bisection" in doubt(Bracket(0.2503, 0.2504, 1), zeros)


def test_the_curvature_of_the_mean_loss_is_in_the_error_of_the_line():
    """Six systems: none of them more than three of its own standard errors off, nor all of them far within."""
    off = []
    for alphas in ((1.0, 2.0, 4.0), (1.0, 3.0), (2.0, 2.0, 5.0)):
        for seed in (0, 1):
            found = line(Setting(problem=Problem("groups", alphas=alphas), seed=seed, starts=8), 1 / sum(alphas))
            off.append((found.value - 1 / sum(alphas)) / found.stderr)
    assert max(map(abs, off)) < 3
    assert max(map(abs, off)) > 0.01


def test_predictions_that_are_approximate_say_so(capsys):
    args = ["--effective-lr", "0.1,0.2,0.4,1", "--iterations", "4000", "--no-threshold", "--no-figure", "--quiet"]
    assert main([*args, "--json"]) == 0
    below, joint, *above = json.loads(capsys.readouterr().out)["sweep"]
    assert below["loss_predicted_note"] is None
    assert "exact where" in joint["loss_predicted_note"]
    for row in above:
        assert row["loss_predicted_note"].startswith("approximate")
        assert abs(row["loss_mean"] - row["loss_predicted"]) > 5 * row["loss_stderr"]  # as it is said to be
    assert main(args) == 0
    assert "~3 " in capsys.readouterr().out
    assert main([*args, "--json", "--alphas", "1"]) == 0
    assert not any(row["loss_predicted_note"] for row in json.loads(capsys.readouterr().out)["sweep"])


def test_one_pair_is_periodic_however_weakly_its_orbit_attracts():
    found = lyapunov(np.ones(1), 100.0, starts=4, approach=20_000, iterations=5000)
    assert -1e-3 < found.exponents[0] < 0
    assert set(found.kinds) == {"periodic"}


def test_where_chaos_sets_in():
    """Three pairs: neutral modes at the joint orbit, chaos above (theory.md 5.4); two zeros for each neutral pair."""
    alphas = np.array([1.0, 2.0, 4.0])
    calm, wild = (lyapunov(alphas, a / 7, starts=6, approach=30_000, iterations=10_000) for a in (1.5, 3.0))
    assert set(calm.kinds) == {"neutral"}
    np.testing.assert_allclose(calm.exponents[:4], 0, atol=1e-3)
    assert calm.exponents[4] == pytest.approx(np.log(1 - 2 / 1.5**2), rel=1e-2)
    assert set(wild.kinds) == {"chaotic"}
    assert wild.exponents[0] > 0.3
    assert wild.exponents[0] > 20 * wild.stderr[0]


@pytest.mark.parametrize(
    ("alphas", "a", "steps", "kind", "exponent"),
    [((1, 2, 4), 2.0, 10_000, "chaotic", 0.353), ((1, 1, 1), 1.5, 10_000, "chaotic", 0.0387),
     ((1, 1), 3.0, 50_000, "chaotic", 0.343), ((1,), 10.0, 10_000, "periodic", -0.0202),
     ((1, 2, 4), 1.001, 10_000, "neutral", 0.0), ((1, 2, 4), 1.015, 10_000, "neutral", 0.0),
     ((1, 1000), 1.001, 1000, "undecided", None)],
)  # fmt: skip
def test_a_slow_approach_is_not_chaos(alphas, a, steps, kind, exponent):
    """Both signs, and exponents that are positive only because zero is approached from above."""
    alphas = np.array(alphas, dtype=float)
    found = lyapunov(alphas, a / alphas.sum(), approach=steps, iterations=steps)
    assert set(found.kinds) == {kind}
    if exponent is not None:
        assert found.largest[kind][1] == pytest.approx(exponent, rel=0.02, abs=3e-4)
    assert all(bool(why) == (kind == "undecided") for why in found.why)


def test_nothing_is_chaotic_just_above_the_threshold():
    found = lyapunov(np.array([1.0, 2.0, 4.0]), 0.1429, approach=10_000, iterations=10_000)
    assert found.exponents[0] > 3 * found.stderr[0]  # as positive as it looks
    assert set(found.kinds) == {"neutral", "undecided"}


@pytest.mark.parametrize("power", [1, 3, 5])
def test_growth_by_a_power_of_time_is_never_chaotic(power):
    """Three pairs: the largest power that their tangent vectors can grow by, from any time on."""
    for begin in (1, 100, 10_000):
        times = begin + np.linspace(0, 10_000, BLOCKS + 1)
        blocks = power * np.diff(np.log(times)) / (10_000 / BLOCKS)
        assert tell(blocks, 3, begin + 10_000, 10_000)[0] != "chaotic"


def test_growth_that_begins_ends_or_falls_is_undecided():
    wild, calm = np.full(BLOCKS // 2, 0.3), np.zeros(BLOCKS // 2)
    noise = np.random.default_rng(0).normal(0, 0.01, BLOCKS)
    assert tell(np.append(wild, wild) + noise, 3, 20_000, 10_000) == ("chaotic", "")
    assert tell(np.append(-wild, -wild) + noise, 3, 20_000, 10_000) == ("periodic", "")
    for blocks in (np.append(wild, calm), np.append(calm, wild), np.append(wild, wild / 2) + noise):
        kind, why = tell(blocks, 3, 20_000, 10_000)
        assert kind == "undecided"
        assert why


def test_exponents_are_told_for_each_kind_of_motion(capsys):
    """At 0.3 some starts are chaotic and others are not: one mean over both says nothing of either."""
    args = ["--effective-lr", "0.2,0.3", "--no-threshold", "--no-figure", "--quiet"]
    assert main([*args, "--json"]) == 0
    calm, mixed = json.loads(capsys.readouterr().out)["sweep"]
    assert calm["motion"] == {"neutral": 16}
    by = mixed["lyapunov_by_motion"]
    assert {kind: one["starts"] for kind, one in by.items()} == mixed["motion"]
    assert abs(by["neutral"]["exponent"]) < 1e-3 < 0.1 < by["chaotic"]["exponent"]
    assert sum(one["starts"] * one["exponent"] for one in by.values()) == pytest.approx(16 * mixed["lyapunov"][0])
    assert sum(mixed["motion_why"].values()) == mixed["motion"].get("undecided", 0)
    assert main(args) == 0
    out = capsys.readouterr().out
    assert f"{by['chaotic']['exponent']:.3f} ± {by['chaotic']['stderr']:.3f}" in out


def test_numbers_are_whole_and_one_effective_lr_is_no_range(capsys):
    args = ["--effective-lr", "0.1429,0.3", "--no-threshold", "--no-figure", "--quiet", "--iterations", "2000"]
    assert main(args) == 0
    out = capsys.readouterr().out
    assert "~0.00104969" in out or "~0.0010496" not in out
    assert "at 0.3: approximate" in out


def test_a_course_is_a_record():
    [course] = courses(Setting(problem=Problem("groups"), iterations=1000, starts=3), [0.3])
    record = course.record()
    assert dict(record.sizes) == {"path": 3, "epoch": course.iterations.size, "group": 4}
    harmonic = (1 / record["effective_lr"]).sel(group=["1", "2", "3"]).sum("group")
    np.testing.assert_allclose(harmonic, 1 / record["effective_lr"].sel(group="all"), rtol=1e-12)


def test_json_is_one_object(capsys, tmp_path):
    code = main(["--effective-lr", "0.1,0.2,5", "--iterations", "8000", "--json", "--quiet",
                 "--out", str(tmp_path)])  # fmt: skip
    assert code == 0
    content = json.loads(capsys.readouterr().out)
    assert abs(content["threshold_measured"] * 7 - 1) < 1e-6
    assert content["threshold_predicted"] == pytest.approx(1 / 7)
    assert 0 < content["threshold_stderr"] < 1e-7
    assert [row["regime"] for row in content["sweep"]] == ["convergence", "chaotic equilibrium", "divergence"]
    keys = {"effective_lr", "regime", "confidence", "loss_mean", "loss_stderr", "loss_predicted", "individual_lr",
            "harmonic_sum_error", "angle_mean"}  # fmt: skip
    assert all(keys <= row.keys() and row["harmonic_sum_error"] < 1e-12 for row in content["sweep"])


def test_noise_comes_from_its_flags(capsys):
    args = [
        "--loss",
        "vmf",
        "--dim",
        "4",
        "--effective-lr",
        "0.05",
        "--iterations",
        "2000",
        "--json",
        "--quiet",
        "--starts",
        "4",
    ]
    assert main([*args, "--no-figure", "--noise-scale", "1", "--method", "em"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["noise"] == "gaussian"
    assert content["threshold_measured"] is None
    assert content["sweep"][0]["loss_predicted"] is not None
    assert main([*args, "--no-figure"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["noise"] == "none"
    assert content["threshold_measured"] == pytest.approx(2.0, rel=2e-3)


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--effective-lr", "0:1:5"], "effective-lr"),
        (["--effective-lr", "1:0.1:5"], "effective-lr"),
        (["--effective-lr", "0.1:1:1"], "effective-lr"),
        (["--effective-lr", "0.1:1:2000"], "at most"),
        (["--effective-lr", "nan"], "effective-lr"),
        (["--effective-lr", "0.1,-2"], "effective-lr"),
        (["--effective-lr", "0.1,0.1"], "once"),
        (["--effective-lr", "a:b:c"], "effective-lr"),
        (["--effective-lr", ""], "effective-lr"),
        (["--constraint", "free"], "total"),
        (["--method", "splitting"], "method"),
        (["--loss", "nothing"], "loss"),
        (["--starts", "0"], "starts"),
        (["--iterations", "10"], "iterations"),
        (["--alphas", "1,-1"], "alphas"),
        (["--alphas", "1,2", "--dim", "5"], "dim"),
        (["--noise", "minibatch"], "noise"),
        (["--noise", "pink"], "noise"),
        (["--noise", "none", "--noise-scale", "1"], "noise"),
        (["--B", "10"], "--B"),
        (["--B", "0", "--loss", "pca"], "--B"),
        (["--substeps", "3"], "substeps"),
        (["--threads", "0"], "threads"),
        (["--seed", "-1"], "seed"),
        (["--loss", "pca", "--signal", "2"], "signal"),
        (["--loss", "pca", "--spectrum", "4,2,1", "--dim", "2"], "spectrum"),
        (["--starts", "1000000000", "--effective-lr", "0.3"], "--starts: "),
        (["--iterations", "100000000000000"], "--iterations: "),
        (["--loss", "pca", "--iterations", "100000000000000"], "--iterations: "),
        (["--loss", "vmf", "--dim", "10000000000"], "--dim: "),
        (["--alphas", "0"], "try 1,2,4"),
        (["--loss", "vmf", "--alphas", "1,2"], "try leaving it out"),
        (["--noise-scale", "-1"], "; try "),
        (["--loss", "pca", "--spectrum", "1,-1"], "; try "),
        (["--spectrum", "1,-1"], "; try "),
        (["--alphas", "1e-300,1e300", "--effective-lr", "0.001"], "--alphas: "),
        (["--alphas", "1,1e20", "--effective-lr", "0.001"], "try 1e-14"),
        (["--noise", "gauss"], "none, minibatch, gaussian"),
        (["--loss", "vmf", "--dim", "1"], "try 16"),
    ],
)
def test_bad_input_is_refused_in_one_line(args, word, capsys):
    assert main([*args, "--no-figure", "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert word in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_the_noise_of_a_named_law_is_one_as_the_help_says(capsys):
    args = ["--loss", "vmf", "--dim", "4", "--effective-lr", "0.05", "--iterations", "200", "--json", "--quiet",
            "--no-figure", "--noise", "gaussian", "--starts", "2"]  # fmt: skip
    assert main(args) == 0
    assert json.loads(capsys.readouterr().out)["parameters"]["noise_scale"] == 1
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "default 0; 1 with --noise" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_what_takes_hours_is_said_before_it_begins(capsys, monkeypatch):
    monkeypatch.setattr("sde_si.sphere.survey.sweep", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    args = ["--loss", "vmf", "--dim", "1000000", "--starts", "8", "--effective-lr", "0.3", "--no-figure"]
    assert main(args) == 130
    assert "h of processor time" in capsys.readouterr().err
    assert main([*args, "--iterations", "100"]) == 130
    assert "h of processor time" not in capsys.readouterr().err


def test_effective_lrs_from_python():
    problem = Problem("groups", alphas=(1.0, 3.0))
    [point] = sweep(problem, 0.2, starts=2, iterations=200, threshold=False).points
    assert point.effective_lr == 0.2
    for wrong in ("a", [], None, ["a"]):
        with pytest.raises(BadInput, match="effective_lr"):
            sweep(problem, wrong, starts=2, iterations=200, threshold=False)  # pyright: ignore[reportArgumentType]


def test_rates():
    np.testing.assert_allclose(read_rates("0.1:10:3"), [0.1, 1, 10])
    assert read_rates("3,1, 2") == (1.0, 2.0, 3.0)


def test_setting_refuses_what_is_no_field():
    with pytest.raises(BadInput, match="constraint"):
        Setting(problem=Problem("groups"), constraint="free")
    with pytest.raises(TypeError):
        sweep(effective_lr=(0.1,), colour="red")
