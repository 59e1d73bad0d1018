"""One run, resolved and checked: a (problem, hyperparameters, method, seed, paths) and nothing left open."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sde_si.hyperparameters import HyperParameters
from sde_si.jit import python_function
from sde_si.losses import Arrays
from sde_si.methods import Method, Scheme
from sde_si.noises import NOISES, Noise, shape_sum_zero
from sde_si.problem import Problem
from sde_si.schedules import Timetable

FORMAT = 1
CONSTRAINTS = ("free", "total", "groups")


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that decides the numbers of one simulation; see `sde_si.resolve`."""

    problem: Problem
    hyperparameters: HyperParameters
    method: Method
    paths: int
    seed: int
    substeps: int
    noise: str
    sampling: str
    start_norm: float
    lags: tuple[int, ...] = ()
    noise_from: int = 0
    # What is held at `start_norm` after every substep: nothing, the length of all weights, or an equal share of its
    # square for each group (theory.md 3.3, 5.1). `sde_si.sphere` sets it.
    constraint: str = "free"

    @property
    def scheme(self) -> Scheme:
        """The method's scheme for this momentum."""
        scheme = self.method.scheme(self.hyperparameters.momentum > 0)
        assert scheme is not None  # `resolve` refuses it
        return scheme

    @functools.cached_property
    def arrays(self) -> Arrays:
        """The loss's arrays."""
        return self.problem.arrays(self.hyperparameters.N, self.seed)

    @functools.cached_property
    def timetable(self) -> Timetable:
        """The schedule, step by step."""
        return Timetable(self.hyperparameters)

    @property
    def settled(self) -> HyperParameters:
        """The hyperparameters after the last change of the schedule; the first ones if it never settles."""
        return self.timetable.settled

    @property
    def tuning_factor(self) -> float:
        """The tuning factor after the last change, per epoch; without 1/(1 - momentum) for decoupled decay (9.5)."""
        hp = self.settled
        return hp.decoupled_tuning_factor if self.method.decoupled else hp.tuning_factor

    @property
    def noise_trace(self) -> float:
        """Trace of the minibatch gradient's covariance at the unit vector (theory.md 0.2), at the first batch size.

        nan where it is not constant.
        """
        return self.arrays.noise_trace / self.hyperparameters.B

    @property
    def noise_deviation(self) -> float:
        """Standard deviation of the minibatch gradient at the unit vector in each tangential direction; nan if none."""
        return math.sqrt(self.arrays.noise_variance / self.hyperparameters.B)

    @property
    def law(self) -> Noise | None:
        """The law of the increments; None where minibatches are drawn."""
        return NOISES.get(self.noise)

    @property
    def reshuffled(self) -> bool:
        """Whether every epoch uses every sample once."""
        return self.sampling == "reshuffle"

    def replace(self, **changes: Any) -> Run:
        """A copy with some values changed."""
        return dataclasses.replace(self, **changes)

    def configuration(self) -> dict[str, Any]:
        """What decides the numbers, as plain JSON types."""
        parameters = {k: _plain(v) for k, v in self.problem.parameters.items() if v is not None}
        return {
            "loss": self.problem.loss.name,
            "dim": self.arrays.dim,
            **parameters,
            **{k: v for k, v in dataclasses.asdict(self.hyperparameters).items() if v is not None},
            "N": self.arrays.N if self.problem.loss.finite_sum else self.hyperparameters.N,
            "method": self.method.name,
            "substeps": self.substeps,
            "noise": self.noise,
            "sampling": self.sampling,
            "paths": self.paths,
            "seed": self.seed,
            "init_norm": self.start_norm,
            "lags": list(self.lags),
            "noise_from": self.noise_from,
            **({} if self.constraint == "free" else {"constraint": self.constraint}),
        }

    @property
    def shape(self) -> Any:
        """What shapes the increments in the light of the weights, or None (`sde_si.noises`)."""
        if self.reshuffled and not self.problem.loss.finite_sum:
            return shape_sum_zero
        return self.law.shape if self.law else None

    def sources(self) -> dict[str, str]:
        """SHA-256 of the files that hold the functions that the numbers rest on (they may call others there)."""
        loss, law = self.problem.loss, self.law
        functions = {
            "step": self.scheme.step,
            "where": self.scheme.where,
            "coefficients": self.scheme.coefficients,
            "gradient": loss.gradient,
            "minibatch": loss.minibatch,
            "noise": loss.noise,
            "arrays": loss.arrays,
            "fill": law and law.fill,
            "shape": self.shape,
        }
        files = {name: source_digest(python_function(function)) for name, function in functions.items() if function}
        return files | _loop_digests()

    def digest(self, **changes: Any) -> str:
        """Hex digest of configuration, sources and format; `changes` replace entries of the configuration."""
        content = {"format": FORMAT, "configuration": {**self.configuration(), **changes}, "sources": self.sources()}
        return sha256(json.dumps(content, sort_keys=True).encode())


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


_LOOP = (
    "angles", "block", "engine", "jit", "kernel", "losses/base", "methods/base", "pcg64", "pointers", "problem", "rows",
    "schedules/functions", "schedules/timetable", "segments", "streams", "wide",
)  # fmt: skip


@functools.cache
def _loop_digests() -> dict[str, str]:
    return {name: file_digest(Path(__file__).parent / f"{name}.py") for name in _LOOP}


@functools.lru_cache(maxsize=256)
def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, read once in a process."""
    return sha256(path.read_bytes())


def source_digest(function: Any) -> str:
    """Hash of the file in which a function stands; of its own text if it was typed into an interpreter."""
    file = _source_file(function)
    return file_digest(file) if isinstance(file, Path) else sha256(file.encode())


@functools.lru_cache(maxsize=256)
def _source_file(function: Any) -> Path | str:
    """The file in which a function stands, or else its own text."""
    function = inspect.unwrap(function)
    function = getattr(function, "func", function)  # functools.partial
    file = inspect.getsourcefile(function)
    return Path(file) if file and Path(file).is_file() else inspect.getsource(function)


def _plain(value: Any) -> Any:
    """A parameter as JSON: an array or a file by the hash of its content."""
    if isinstance(value, np.ndarray):
        return f"sha256:{sha256(np.ascontiguousarray(value).tobytes() + str((value.shape, value.dtype)).encode())}"
    if isinstance(value, str | Path):
        with Path(value).open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    return list(value) if isinstance(value, tuple) else value
