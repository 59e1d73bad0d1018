"""Every loss in the registry: scale invariance and all that follows from it."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sde_si import LOSSES, HyperParameters, Loss, Parameter, Problem, jitted, per_path, simulate, theory
from sde_si.errors import BadInput
from sde_si.resolve import resolve
from sde_si.testing import check_loss, evaluate, noise_factor
from sde_si.testing.strategies import problems, weights

N = 12


@given(problems(), st.data(), st.floats(1e-2, 1e2))
def test_every_loss_is_scale_invariant(problem, data, scale):
    check_loss(problem, data.draw(weights(problem.arrays(N, 0).dim)), scale, N=N)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("power", [-3, 1, 4])
def test_powers_of_two_are_bit_exact(name, power):
    """No hidden absolute constant anywhere (theory.md T2)."""
    problem = Problem(name, dim=None if name == "groups" else 7)
    x = np.random.default_rng(3).standard_normal((2, problem.arrays(N, 0).dim))
    c = 2.0**power
    g, value = evaluate(problem, x, N=N)
    scaled, same = evaluate(problem, c * x, N=N)
    assert np.array_equal(g, c * scaled)
    assert np.array_equal(value, same)


@jitted
def _not_invariant(x, params, out, value):
    for p in range(x.shape[0]):
        value[p] = 0.0
        for j in range(x.shape[1]):
            out[p, j] = x[p, j]
            value[p] += 0.5 * x[p, j] * x[p, j]


@jitted
def _wrong_gradient(x, params, out, value):
    """-<e_1, y>, but its gradient without the projection."""
    for p in range(x.shape[0]):
        norm = 0.0
        for j in range(x.shape[1]):
            norm += x[p, j] * x[p, j]
        value[p] = -x[p, 0] / np.sqrt(norm)
        for j in range(x.shape[1]):
            out[p, j] = 0.0
        out[p, 0] = -1 / np.sqrt(norm)


@jitted
def _wrong_sign(x, params, out, value):
    for p in range(x.shape[0]):
        norm = 0.0
        for j in range(x.shape[1]):
            norm += x[p, j] * x[p, j]
        value[p] = x[p, 0] / np.sqrt(norm)
        for j in range(x.shape[1]):
            out[p, j] = x[p, 0] * x[p, j] / norm**1.5
        out[p, 0] -= 1 / np.sqrt(norm)


@jitted
def _radial_noise(x, xi, amplitude, params, offsets, out):
    for p in range(x.shape[0]):
        norm = 0.0
        for j in range(x.shape[1]):
            norm += x[p, j] * x[p, j]
        for j in range(x.shape[1]):
            out[p, j] += amplitude * xi[p, j] / np.sqrt(norm)


@pytest.mark.parametrize(
    ("loss", "what"),
    [
        (Loss(name="square", gradient=_not_invariant), "must not depend on the weights' length"),
        (Loss(name="unprojected", gradient=_wrong_gradient), "<x, grad L> = 0"),
        (Loss(name="sign", gradient=_wrong_sign), "gradient and loss disagree"),
        (Loss(name="radial", noise=_radial_noise), "the noise has a part along x"),
    ],
)
def test_the_contract_names_what_is_broken(loss, what):
    x = np.random.default_rng(0).standard_normal((2, 5))
    with pytest.raises(AssertionError, match=what):
        check_loss(Problem(loss, dim=5), x, 3.0)


def test_covariance_with_and_without_replacement_0_7():
    """C/B with replacement; without, smaller by (N-B)/(N-1): every batch of an epoch has the same law."""
    problem, B = Problem("regression", dim=4), 3
    arrays = problem.arrays(N, 0)
    x = np.random.default_rng(1).standard_normal((1, 4))
    S = noise_factor(problem, x, N=N)
    rng = np.random.default_rng(0)

    def covariance(draw, times=20_000):
        found = np.empty((times, 4))
        for i in range(times):
            problem.loss.minibatch(x, draw()[None], arrays.params, found[i : i + 1])
        return np.trace(np.cov(found.T))

    expected = np.trace(S @ S.T) / B
    assert covariance(lambda: rng.integers(0, N, B)) == pytest.approx(expected, rel=0.04)
    assert covariance(lambda: rng.permutation(N)[:B]) == pytest.approx(expected * (N - B) / (N - 1), rel=0.04)


def test_data_set_the_problem(tmp_path):
    rows = np.random.default_rng(0).standard_normal((30, 4))
    np.save(tmp_path / "rows.npy", rows.astype(np.float32))
    problem = Problem("pca", data=str(tmp_path / "rows.npy"))
    assert problem.default_N() == 30
    whole = problem.arrays(30, 0)
    assert (whole.N, whole.dim) == (30, 4)
    np.testing.assert_allclose(whole.params[1][:, :4], rows, rtol=1e-6)
    part = problem.arrays(10, 0)
    assert part.N == 10
    assert {tuple(r) for r in part.params[1][:, :4]} <= {tuple(r) for r in whole.params[1][:, :4]}
    with pytest.raises(BadInput, match="30 rows"):
        problem.arrays(31, 0)
    with pytest.raises(BadInput, match="columns of the data"):
        Problem("pca", data=rows, dim=5).arrays(None, 0)


def test_pca_full_gradient_finds_the_principal_component():
    rows = np.random.default_rng(0).standard_normal((500, 5)) * [3, 1, 1, 1, 1]
    problem = Problem("pca", data=rows)
    x = np.random.default_rng(1).standard_normal((1, 5))
    for _ in range(500):
        g, _ = evaluate(problem, x, N=500)
        x = x - 0.02 * g * np.sum(x**2)
        x /= np.linalg.norm(x)
    top = np.linalg.eigh(rows.T @ rows)[1][:, -1]
    assert abs(x[0] @ top) == pytest.approx(1, abs=1e-9)


def _one_path(x, params, out):
    """vmf of one path, in plain Python."""
    norm = along = 0.0
    for j in range(x.size):
        norm += x[j] * x[j]
        along += x[j] * params[1][0, j]
    for j in range(x.size):
        out[j] = along / norm**1.5 * x[j] - params[1][0, j] / norm**0.5
    return -along / norm**0.5


def test_a_loss_written_for_one_path():
    vmf = LOSSES["vmf"]
    lifted = dataclasses.replace(vmf, gradient=per_path(_one_path))
    hp = HyperParameters(N=40, B=4, epochs=2)
    assert Problem(lifted, dim=5).loss.gradient is not vmf.gradient
    check_loss(Problem(lifted, dim=5), np.random.default_rng(1).standard_normal((3, 5)), 2.5)
    a, b = (simulate(Problem(loss, dim=5), hp, paths=3) for loss in (lifted, vmf))
    np.testing.assert_allclose(a["cos_epoch"].values, b["cos_epoch"].values, rtol=1e-12)
    with pytest.raises(TypeError, match=r"3 \(gradient\), 4 \(minibatch\) or 6 \(noise\)"):
        per_path(print)


def test_a_changed_helper_in_a_users_file_changes_the_digest(tmp_path):
    """The function's own text is the same; what it calls is not."""
    text = (
        "from sde_si import Loss, jitted\nimport numpy as np\n\n@jitted\ndef helper(x):\n    return FACTOR * x\n\n"
        "@jitted\ndef gradient(x, params, out, value):\n    for p in range(x.shape[0]):\n"
        "        value[p] = helper(0.0)\n        out[p] = 0.0\n\nMINE = Loss(name='mine', gradient=gradient)\n"
    )
    digests = set()
    for name, factor in (("a.py", "1.0"), ("b.py", "2.0"), ("c.py", "1.0")):
        (tmp_path / name).write_text(text.replace("FACTOR", factor))
        problem = Problem(f"{tmp_path / name}:MINE", dim=4)
        digests.add(resolve(problem, HyperParameters(N=40, B=4, epochs=1)).digest())
    assert len(digests) == 2


def test_a_parameter_may_not_take_the_name_of_a_setting():
    with pytest.raises(BadInput, match="names of their own"):
        Loss(name="mine", gradient=_not_invariant, parameters={"noise_from": Parameter(1.0, "lost in the digest")})


def test_noise_of_a_losss_own_is_never_taken_for_isotropic():
    """Its trace is unknown: no splitting, no fixed length, no formula for its norm."""
    mine = Loss(name="mine", gradient=_not_invariant, noise=_radial_noise)
    hp = HyperParameters(N=40, B=4, epochs=2)
    for options in ({"method": "splitting"}, {"noise": "fixed-length"}):
        with pytest.raises(BadInput):
            resolve(Problem(mine, dim=4), hp, **options)
    run = resolve(Problem(mine, dim=4), hp)
    assert theory.equilibrium(run)["weight_norm"].value is None
    assert theory.equilibrium(run)["weight_norm"].paper is None


def test_nothing_asked_for_is_dropped_in_silence():
    hp = HyperParameters(N=40, B=4, epochs=2)
    with pytest.raises(BadInput, match="substeps"):
        resolve(Problem("isotropic"), hp, method="sgd", substeps=4)
    with pytest.raises(BadInput, match="minibatches"):
        resolve(Problem("pca", dim=4), hp, method="sgd", noise="gaussian")


def test_an_own_loss_runs_in_a_second_process_too(tmp_path):
    """Numba finds what the first one compiled again by the name of its module."""
    page = (Path(__file__).parent.parent / "docs" / "losses.md").read_text()
    (tmp_path / "rayleigh.py").write_text(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1])
    words = [sys.executable, "-m", "sde_si", "simulate", "--loss", f"{tmp_path}/rayleigh.py:RAYLEIGH", "--dim", "8",
             "--N", "640", "--B", "64", "--paths", "2", "--method", "sgd", "--epochs", "1", "--no-figure", "--quiet",
             "--fresh", "--json", "--out", str(tmp_path)]  # fmt: skip
    said = [subprocess.run(words, capture_output=True, text=True, check=False) for _ in range(2)]
    assert [(one.returncode, one.stderr) for one in said] == [(0, "")] * 2


def test_compilation_is_announced_before_anything_compiles(tmp_path):
    code = f"""
import sys
from pathlib import Path
from sde_si import HyperParameters
from sde_si.problem import Problem
from sde_si.resolve import resolve
from sde_si.simulate import store
store.announce_compilation = lambda quiet: print("sde_si.kernel" in sys.modules)
hp = HyperParameters(N=64, B=32, epochs=1)
store.Store(Path({str(tmp_path)!r}), 1, quiet=True).obtain(
    resolve(Problem("isotropic", dim=4), hp, method="sgd", paths=1))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert said.stdout.split()[:1] == ["False"], said.stderr
