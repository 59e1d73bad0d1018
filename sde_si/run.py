"""One run, resolved and checked: a (problem, hyperparameters, method, seed, paths) and nothing left open."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sde_si.hyperparameters import HyperParameters
from sde_si.jit import python_function
from sde_si.losses import Arrays
from sde_si.methods import Method, Scheme
from sde_si.noises import NOISES, Noise
from sde_si.problem import Problem
from sde_si.schedules import Timetable

FORMAT = 1


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
        hp, last = self.hyperparameters, self.hyperparameters.epochs - 1
        if self.timetable.last_change > last:
            return hp
        lr, momentum = self.timetable.lr_and_momentum(last)
        return hp.replace(
            lr=float(lr[-1]), momentum=float(momentum[-1]), B=int(self.timetable.batch[last]), schedule="constant"
        )

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
            **dataclasses.asdict(self.hyperparameters),
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
        }

    def sources(self) -> dict[str, str]:
        """SHA-256 of the source text of each function that the numbers rest on; a user's own with its whole file."""
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
            "shape": law and law.shape,
        }
        return {k: sha256(_source(python_function(f)).encode()) for k, f in functions.items() if f}

    def digest(self, **changes: Any) -> str:
        """Hex digest of configuration, sources and format; `changes` replace entries of the configuration."""
        content = {"format": FORMAT, "configuration": {**self.configuration(), **changes}, "sources": self.sources()}
        return sha256(json.dumps(content, sort_keys=True).encode())


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


def _source(function: Any) -> str:
    """Text of a function; of its whole file if it is a user's own, since it may call others there."""
    function = inspect.unwrap(function)
    file = inspect.getsourcefile(function)
    if file and Path(file).is_file() and not Path(file).is_relative_to(Path(__file__).parent):
        return Path(file).read_text()
    return inspect.getsource(function)


def _plain(value: Any) -> Any:
    """A parameter as JSON: an array or a file by the hash of its content."""
    if isinstance(value, np.ndarray):
        return f"sha256:{sha256(np.ascontiguousarray(value).tobytes() + str((value.shape, value.dtype)).encode())}"
    if isinstance(value, str | Path):
        with Path(value).open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    return list(value) if isinstance(value, tuple) else value
