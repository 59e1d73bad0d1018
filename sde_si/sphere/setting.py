"""What a survey on the sphere varies the effective learning rate of."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sde_si.errors import require
from sde_si.hyperparameters import HyperParameters, check_count
from sde_si.machine import check_memory
from sde_si.methods import Method
from sde_si.noises import NOISES
from sde_si.problem import Problem
from sde_si.resolve import find_method, resolve
from sde_si.run import Run

HELD = ("total", "groups")
SAMPLES = 500  # of every course, about


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a sweep varies the effective learning rate of.

    Attributes
    ----------
    problem : Problem
    constraint : {"total", "groups"}
        What is held at length 1 after every step: all weights together (Kodryan et al.), or each group at an equal
        share of it (theory.md 5.1).
    method : {"sgd", "em"}
        Projected SGD, or the projected Euler-Maruyama step of the SDE on the sphere (theory.md 3.3 ii).
    noise : str
        ``none``: the exact gradient; ``minibatch`` for a finite sum; else a name in `sde_si.NOISES`.
    B, N, substeps : int
        Batch size; rows of a generated finite sum; substeps of ``em``.
    starts, iterations, seed : int
        Random starts, iterations of each.
    threads : int or None
    """

    problem: Problem
    constraint: str = "total"
    method: str | Method = "sgd"
    noise: str = "none"
    B: int = 1
    N: int | None = None
    substeps: int | None = None
    starts: int = 16
    iterations: int = 20_000
    seed: int = 0
    threads: int | None = None

    def __post_init__(self) -> None:
        require(self.constraint in HELD, "constraint", f"one of {', '.join(HELD)}", repr(self.constraint), "total")
        method = find_method(self.method)
        object.__setattr__(self, "method", method.name)
        require(method.name in ("sgd", "em"), "method", "sgd or em on the sphere", method.name, "sgd")
        for name, least, advice in (("starts", 1, "16"), ("iterations", 100, "20000"), ("seed", 0, "0"), ("B", 1, "1")):
            check_count(name, getattr(self, name), least, advice)
        if self.N is not None:
            check_count("N", self.N, 2, "1000")
        if self.threads is not None:
            check_count("threads", self.threads)
        names = ("none", "minibatch", *NOISES)
        require(self.noise in names, "noise", f"one of {', '.join(names)}", repr(self.noise), "none")
        finite_sum = self.problem.loss.finite_sum
        known = f"noise for loss {self.problem.loss.name} and method {method.name}"
        if self.noise == "minibatch":
            ok = finite_sum and not method.sde
            require(ok, "noise", "minibatch only for a finite sum (pca, regression) and sgd", known, "gaussian or none")
        if self.problem.dim is not None:
            room = 8.0 * self.problem.dim * (self.starts + 1)
            check_memory("dim", room, f"{self.starts} starts of {self.problem.dim} weights", "a smaller dimension")
        self.run(1.0)  # refuses what cannot be run

    @property
    def groups(self) -> int:
        """Scale-invariant groups."""
        return self.run(1.0).arrays.groups

    @property
    def fast(self) -> bool:
        """Whether the toy's own time loop does it (`sde_si.sphere.toy`)."""
        exact = self.noise == "none" and find_method(self.method).name == "sgd"
        return exact and self.problem.loss.name == "groups" and self.constraint == "total"

    @property
    def stride(self) -> int:
        """Iterations between samples: odd, so that a two-cycle shows both of its points."""
        return max(1, self.iterations // SAMPLES) // 2 * 2 + 1

    def run(self, effective_lr: float) -> Run:
        """The general kernel's run at one effective learning rate."""
        loss, stride = self.problem.loss, self.stride
        N, B = self.N or self.problem.default_N(), self.B
        given = None if self.noise in ("none", "minibatch") else self.noise
        if not loss.finite_sum:
            N = B * stride
        elif self.noise == "none":
            N = N or 1000
            B = max(1, N // stride)
        hp = HyperParameters(N=N or 1000, B=B, lr=effective_lr, wd=0.0, momentum=0.0)
        hp = hp.replace(epochs=max(1, math.ceil(self.iterations / hp.steps_per_epoch)))
        # both in the words of this room: nobody gave epochs here
        room = 200.0 * self.starts * hp.epochs
        what = f"{self.starts} starts of {self.iterations} iterations"
        check_memory("starts" if self.starts >= hp.epochs else "iterations", room, what, "fewer")
        if not loss.finite_sum:
            check_memory("iterations", 400.0 * hp.steps_per_epoch, what, "fewer")
        method = find_method(self.method)
        run = resolve(self.problem, hp, method=method, paths=self.starts, seed=self.seed, noise=given, init_norm=1.0,
                      substeps=self.substeps)  # fmt: skip
        return run.replace(constraint=self.constraint, noise="none" if self.noise == "none" else run.noise)
