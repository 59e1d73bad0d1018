"""What a loss is: a mean gradient, its noise, its arrays, and what is known about it exactly."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sde_si.errors import BadInput, require
from sde_si.hyperparameters import HyperParameters, check_count, check_number
from sde_si.jit import Jitted

Array = np.ndarray
DEFAULT_DIM = 256
# What a run is made of: a loss's parameter of such a name would be lost in its configuration.
RUN_KEYS = {field.name for field in dataclasses.fields(HyperParameters)} | {
    "loss", "dim", "method", "substeps", "noise", "sampling", "paths", "seed", "init_norm", "lags", "noise_from",
    "constraint",
}  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """A number, a tuple of numbers, or a file of an array that a loss takes.

    Attributes
    ----------
    default : float, tuple of float or None
        None: may be absent.
    help : str
        One line for people.
    kind : {"number", "numbers", "array"}
        What it is; an array is given as a file's name or as an ndarray.
    least, above : float or None
        Bounds of the number or numbers.
    unless : str
        Another parameter beside which this one has no meaning.
    """

    default: Any
    help: str
    kind: str = "number"
    least: float | None = None
    above: float | None = None
    unless: str = ""

    def check(self, name: str, value: Any) -> Any:
        """The value, made canonical.

        Raises
        ------
        BadInput
            If it is out of bounds or of the wrong kind.
        """
        if value is None or self.kind == "array":
            return value
        values: tuple[Any, ...] = (
            tuple(value) if self.kind == "numbers" and isinstance(value, list | tuple) else (value,)
        )
        require(len(values) > 0, name, "at least one number", value)
        shown = "" if self.default is None else ",".join(f"{v:g}" for v in np.atleast_1d(self.default))
        for number in values:
            check_number(name, number, least=self.least, above=self.above, advice=shown)
        return tuple(float(v) for v in values) if self.kind == "numbers" else float(values[0])


NOISE_SCALE = Parameter(1.0, "variance c of each sample's gradient noise per tangential direction", least=0.0)


@dataclass(frozen=True)
class Arrays:
    """A loss made concrete.

    Attributes
    ----------
    params : tuple of three ndarrays
        Scalars (1, k), data (n, m), moments (a, b): whatever the loss's functions read.
    dim : int
        Dimension of the weights.
    N : int
        Samples.
    offsets : ndarray of int, shape (groups + 1,)
        Where each scale-invariant group begins and ends.
    noise_variance : float or nan
        Per-sample variance c per tangential direction if the noise is isotropic in each group, so that its
        trace is c (d - 1)/B everywhere; nan otherwise.
    noise_dim : int
        Standard increments that one draw of the noise takes.
    """

    params: tuple[Array, Array, Array]
    dim: int
    N: int
    offsets: Array
    noise_variance: float = float("nan")
    noise_dim: int = 0

    def __post_init__(self) -> None:
        if not self.noise_dim:
            object.__setattr__(self, "noise_dim", self.dim)

    @property
    def groups(self) -> int:
        """Number of scale-invariant groups."""
        return self.offsets.size - 1

    @property
    def noise_trace(self) -> float:
        """Trace of one sample's gradient covariance at the unit vector (theory.md 0.2); nan where not constant."""
        return self.noise_variance * (self.dim - self.groups)


def simple_arrays(values: Mapping[str, Any], dim: int | None, N: int, rng: np.random.Generator) -> Arrays:
    """Arrays of a loss with numbers for parameters: all of them, in the order declared, as the scalars."""
    d = DEFAULT_DIM if dim is None else dim
    numbers = np.concatenate([np.atleast_1d(np.asarray(v, dtype=float)) for v in values.values()])
    variance = values.get("noise_scale", float("nan"))
    empty = np.zeros((0, 0))
    return Arrays((numbers[None], empty, empty), d, N, np.array([0, d]), variance)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A scale-invariant loss and the noise of its stochastic gradient.

    Only `name` and `gradient` (or `minibatch`) are needed; see ``docs/losses.md``.

    Attributes
    ----------
    name, summary, source : str
        As on the command line; one line for people; where it comes from.
    gradient : Jitted or None
        ``gradient(x, params, out, value)`` writes the mean gradient ``out[path, d]`` and the loss ``value[path]``;
        None if both are zero.
    noise : Jitted or None
        ``noise(x, xi, amplitude, params, offsets, out)`` adds amplitude * S(x) xi, where S S' is the covariance of ONE
        sample's gradient and xi holds standard increments. None: isotropic in the tangent space of each group, with
        the variance of `Arrays.noise_variance`, which is by default the parameter ``noise_scale``.
    minibatch : Jitted or None
        For finite sums: ``minibatch(x, index, params, out)`` writes the mean gradient of the samples
        ``index[path, B]``.
    parameters : mapping of str to Parameter
        What the user may choose; by default the noise's scale alone.
    arrays : callable
        ``arrays(values, dim, N, rng)`` makes an `Arrays`.
    flat : bool
        No mean gradient at all: the noise-only laws hold exactly.
    """

    name: str
    gradient: Jitted | None = None
    summary: str = ""
    source: str = ""
    noise: Jitted | None = None
    minibatch: Jitted | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=lambda: {"noise_scale": NOISE_SCALE})
    arrays: Callable[..., Arrays] = simple_arrays
    flat: bool = False

    def __post_init__(self) -> None:
        taken = RUN_KEYS & set(self.parameters)
        require(not taken, "loss", "parameters with names of their own", f"{', '.join(sorted(taken))} in {self.name}")

    @property
    def finite_sum(self) -> bool:
        """Whether it is a mean over N samples that can be drawn as minibatches."""
        return self.minibatch is not None

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters, defaults filled in.

        Raises
        ------
        BadInput
            For a parameter that this loss does not have, or a bad value.
        """
        for name in given:
            known = ", ".join(self.parameters) or "none"
            if name not in self.parameters:
                expected, got = f"a parameter of loss {self.name} ({known})", f"{name}={given[name]!r}"
                raise BadInput(name, expected, got, "leaving it out")
            other = self.parameters[name].unless
            if given[name] is not None and given.get(other) is not None:
                raise BadInput(name, f"no --{other} (it shapes generated data only)", f"{name}={given[name]!r}")
        chosen = {name: given.get(name, parameter.default) for name, parameter in self.parameters.items()}
        return {name: self.parameters[name].check(name, value) for name, value in chosen.items()}


def check_dim(dim: int | None) -> None:
    """Refuse a dimension without a tangent direction."""
    if dim is not None:
        check_count("dim", dim, least=2, advice="256")
