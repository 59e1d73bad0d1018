"""Finite sums of N quadratic losses of the direction: principal components and least squares.

Both have l_i = (s/2) z_i^2 - b_i z_i + const with z_i = <a_i, y>: s = -2, b = 0 is -z^2, s = 1 is (z - b)^2/2.
The full gradient comes from the second moments, d^2 operations instead of N d.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sde_si.errors import BadInput, require
from sde_si.jit import jitted
from sde_si.losses.base import DEFAULT_DIM, Arrays, Loss, Parameter
from sde_si.machine import check_memory


@jitted
def quadratic_gradient(x, params, out, value):
    """Mean gradient and loss from moments: rows 0..d-1 the mean of a a', row d the mean of b a."""
    s, constant, moments = params[0][0, 0], params[0][0, 1], params[2]
    d = x.shape[1]
    for p in range(x.shape[0]):
        norm = 0.0
        for j in range(d):
            norm += x[p, j] * x[p, j]
        inverse = 1 / np.sqrt(norm)
        radial = square = target = 0.0
        for i in range(d):
            row = 0.0
            for j in range(d):
                row += moments[i, j] * x[p, j]
            y = inverse * x[p, i]
            row *= inverse
            square += y * row
            target += y * moments[d, i]
            out[p, i] = s * row - moments[d, i]
            radial += y * out[p, i]
        value[p] = 0.5 * s * square - target + constant
        for i in range(d):
            out[p, i] = inverse * (out[p, i] - radial * inverse * x[p, i])


@jitted
def quadratic_minibatch(x, index, params, out):
    """Mean gradient of the samples in index[path, B]; data rows are (a_i, b_i)."""
    s, data = params[0][0, 0], params[1]
    d = x.shape[1]
    for p in range(x.shape[0]):
        norm = 0.0
        for j in range(d):
            norm += x[p, j] * x[p, j]
        for j in range(d):
            out[p, j] = 0.0
        inverse = 1 / np.sqrt(norm)
        radial = 0.0
        for i in range(index.shape[1]):
            row = data[index[p, i]]
            z = 0.0
            for j in range(d):
                z += row[j] * x[p, j]
            z *= inverse
            slope = s * z - row[d]
            radial += slope * z
            for j in range(d):
                out[p, j] += slope * row[j]
        scale = inverse / index.shape[1]
        for j in range(d):
            out[p, j] = scale * (out[p, j] - radial * inverse * x[p, j])


@jitted
def quadratic_noise(x, xi, amplitude, params, offsets, out):
    """Exact factor of the covariance of one sample's gradient: N increments, cost N d (theory.md 0.7)."""
    s, data = params[0][0, 0], params[1]
    n, d = data.shape[0], x.shape[1]
    total = np.empty(d)
    for p in range(x.shape[0]):
        norm = mean = 0.0
        for j in range(d):
            norm += x[p, j] * x[p, j]
        for j in range(d):
            total[j] = 0.0
        for i in range(n):
            mean += xi[p, i]
        mean /= n
        inverse = 1 / np.sqrt(norm)
        radial = 0.0
        for i in range(n):
            z = 0.0
            for j in range(d):
                z += data[i, j] * x[p, j]
            z *= inverse
            weight = (xi[p, i] - mean) * (s * z - data[i, d])
            radial += weight * z
            for j in range(d):
                total[j] += weight * data[i, j]
        scale = amplitude * inverse / np.sqrt(n)
        for j in range(d):
            out[p, j] += scale * (total[j] - radial * inverse * x[p, j])


def load_array(name: str, value: Any, ndim: int) -> np.ndarray:
    """A finite numeric array of `ndim` dimensions from a .npy file or an array.

    Raises
    ------
    BadInput
        If the file is missing, no .npy file, of the wrong shape or type, or not finite.
    """
    label, array = "an array", value
    if isinstance(value, str | Path):
        label = str(value)
        try:
            array = np.load(value, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise BadInput(name, "a readable .npy file", f"{label} ({_reason(error)})") from error
    expected = f"a {ndim}-dimensional array of finite numbers"
    numeric = isinstance(array, np.ndarray) and array.dtype.kind in "fiub"
    require(numeric, name, expected, f"{label} of type {getattr(array, 'dtype', type(array).__name__)}")
    require(array.ndim == ndim and array.size > 0, name, expected, f"{label} of shape {array.shape}")
    require(bool(np.isfinite(array).all()), name, expected, f"{label} with NaN or infinity")
    return array


def _reason(error: Exception) -> str:
    """Why a file cannot be read, without NumPy's advice to unpickle what it does not know."""
    return (getattr(error, "strerror", None) or str(error)) if isinstance(error, OSError) else "not in .npy format"


def _subset(rows: int, N: int | None, rng: np.random.Generator) -> np.ndarray:
    if N is None or rows == N:
        return np.arange(rows)
    require(rows >= N, "N", f"at most the {rows} rows of the data", N, str(rows))
    return np.sort(rng.permutation(rows)[:N])


def _assemble(a: np.ndarray, b: np.ndarray, s: float, constant: float) -> Arrays:
    n, d = a.shape
    data = np.empty((n, d + 1))
    data[:, :d], data[:, d] = a, b
    rows = data[:, :d]
    moments = np.concatenate([rows.T @ rows, (b @ rows)[None]]) / n
    scalars = np.array([[s, constant]])
    return Arrays((scalars, data, np.ascontiguousarray(moments)), d, n, np.array([0, d]), noise_dim=n)


def _rows(values: Mapping[str, Any], dim: int | None, N: int | None, rng: np.random.Generator) -> np.ndarray:
    """The user's rows, or N normal ones with the given variances along the axes (the last one repeats)."""
    if values["data"] is not None:
        given = load_array("data", values["data"], 2)
        require(dim in (None, given.shape[1]), "dim", f"{given.shape[1]}, the columns of the data (or none)", dim)
        require(given.shape[1] >= 2, "data", "at least two columns", given.shape[1])
        return given
    d = DEFAULT_DIM if dim is None else dim
    spectrum = np.array(values["spectrum"][:d])
    check_memory("N", 24.0 * (N or 50_000) * d, f"{N} rows of {d}", "a smaller N or dim")
    spectrum = np.concatenate([spectrum, np.full(d - spectrum.size, spectrum[-1])])
    return rng.standard_normal((N or 50_000, d)) * np.sqrt(spectrum)


def _pca_arrays(values: Mapping[str, Any], dim: int | None, N: int | None, rng: np.random.Generator) -> Arrays:
    a = _rows(values, dim, N, rng)
    a = a[_subset(a.shape[0], N, rng)]
    return _assemble(a, np.zeros(a.shape[0]), -2.0, 0.0)


def _regression_arrays(values: Mapping[str, Any], dim: int | None, N: int | None, rng: np.random.Generator) -> Arrays:
    a = _rows(values, dim, N, rng)
    if (values["data"] is None) != (values["target"] is None):
        raise BadInput("target", "both --data and --target, or neither", "one of them alone")
    if values["target"] is None:
        teacher = rng.standard_normal(a.shape[1])
        b = a @ (teacher / np.linalg.norm(teacher)) + values["target_noise"] * rng.standard_normal(a.shape[0])
    else:
        b = load_array("target", values["target"], 1).astype(float)
        require(b.size == a.shape[0], "target", f"one number for each of the {a.shape[0]} rows of the data", b.size)
    chosen = _subset(a.shape[0], N, rng)
    a, b = a[chosen], b[chosen]
    return _assemble(a, b, 1.0, float(b @ b) / b.size / 2)


_DATA = Parameter(None, "a .npy file with one row a sample", kind="array")
_SPECTRUM = Parameter(
    (4.0, 2.0, 1.0), "variances of the generated rows; the last one repeats", "numbers", least=0.0, unless="data"
)
_FUNCTIONS: dict[str, Any] = {
    "gradient": quadratic_gradient,
    "minibatch": quadratic_minibatch,
    "noise": quadratic_noise,
}

PCA = Loss(
    name="pca",
    summary="mean of -<a_i, y>^2 over N rows, true minibatches: the direction seeks the first principal component",
    source="theory.md 8.2, 16.1",
    parameters={"data": _DATA, "spectrum": _SPECTRUM},
    arrays=_pca_arrays,
    **_FUNCTIONS,
)
REGRESSION = Loss(
    name="regression",
    summary="mean of (<a_i, y> - b_i)^2/2 over N rows, true minibatches",
    source="theory.md 16.4",
    parameters={
        "data": _DATA,
        "target": Parameter(None, "a .npy file with one number a row", kind="array"),
        "spectrum": _SPECTRUM,
        "target_noise": Parameter(
            0.1, "standard deviation of the generated targets about a unit teacher", least=0.0, unless="target"
        ),
    },
    arrays=_regression_arrays,
    **_FUNCTIONS,
)
