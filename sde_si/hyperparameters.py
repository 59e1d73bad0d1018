"""The five hyperparameters of the theory, those of adaptive methods, the epochs, and what follows from them."""

from __future__ import annotations

import dataclasses
import math
import numbers
from dataclasses import dataclass
from typing import Any

from sde_si.errors import require

SMALLEST = 1e-100  # of lr and lengths: their squares must not leave the range of floating-point numbers
NEGLIGIBLE = 1e-14  # of lr * wd: 1 - lr * wd is 1 to rounding


def check_number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float = math.inf,
    advice: str = "",
) -> None:
    """Refuse what is no finite real number above `above` or of at least `least`, and below `below`."""
    low, edge = (least, "[") if above is None else (above, "(")
    expected = "a finite number" if low is None else f"a number in {edge}{low:g}, {below:g})"
    ok = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    size = float(value) if ok else math.nan
    ok = ok and (above is None or size > above) and (least is None or size >= least) and size < below
    require(ok, name, expected, value, advice)


def check_count(name: str, value: Any, least: int = 1, advice: str = "", *, most: int | None = None) -> None:
    """Refuse what is no whole number of at least `least` and, if given, at most `most`."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    fits = whole and int(value) >= least and (most is None or int(value) <= most)
    require(fits, name, f"a whole number >= {least}" + (f" and <= {most}" if most else ""), value, advice)


@dataclass(frozen=True, kw_only=True)
class HyperParameters:
    """Hyperparameters of an optimizer with weight decay on N samples.

    Parameters
    ----------
    N : int
        Training samples.
    B : int
        Batch size, at most N.
    lr : float
        Learning rate per step (eta), positive.
    wd : float
        Weight decay (lambda), at least 0; ``lr * wd`` below 1, or one step would flip the weight's direction.
    momentum : float
        Momentum coefficient (mu), in [0, 1).
    epochs : int
        Epochs to run.
    schedule : str
        How lr, momentum and batch size change, as ``NAME:ARGS`` (`sde_si.schedules`).
    beta2, eps : float or None
        The second coefficient (in [0, 1)) and the addend of the denominator (at least 0) of the methods that use
        them (`sde_si.methods.Method.extras`); None: the method's default. ``momentum`` is their first coefficient.

    Raises
    ------
    BadInput
        If a value is out of its range.

    Examples
    --------
    >>> hp = HyperParameters(N=50_000, B=128, lr=0.1, wd=5e-4, momentum=0.9)
    >>> hp.steps_per_epoch, round(hp.tuning_factor, 6)
    (390, 0.195312)
    """

    N: int = 50_000
    B: int = 128
    lr: float = 0.1
    wd: float = 5e-4
    momentum: float = 0.9
    epochs: int = 40
    schedule: str = "constant"
    beta2: float | None = None
    eps: float | None = None

    def __post_init__(self) -> None:
        check_count("N", self.N, advice="50000")
        check_count("B", self.B, advice="128")
        require(self.B <= self.N, "B", f"a batch of at most N = {self.N} samples", self.B, f"{min(128, self.N)}")
        check_number("lr", self.lr, least=SMALLEST, below=1 / SMALLEST, advice="0.1")
        check_number("wd", self.wd, least=0, advice="5e-4")
        check_number("momentum", self.momentum, least=0, below=1, advice="0.9")
        check_count("epochs", self.epochs, advice="40")
        if self.beta2 is not None:
            check_number("beta2", self.beta2, least=0, below=1, advice="0.999")
        if self.eps is not None:
            check_number("eps", self.eps, least=0, below=1 / SMALLEST, advice="1e-8")
        require(
            self.lr * self.wd < 1,
            "wd",
            f"lr * wd < 1 (at lr = {self.lr:g}: wd < {1 / self.lr:g})",
            self.wd,
            "5e-4",
        )
        effective = self.wd == 0 or self.lr * self.wd >= NEGLIGIBLE
        require(effective, "wd", f"0, or lr * wd of at least {NEGLIGIBLE:g} (less is lost in rounding)", self.wd, "0")

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps per epoch, ``N // B``: the last, partial batch is dropped."""
        return self.N // self.B

    @property
    def intrinsic_lr(self) -> float:
        """``u = lr * wd`` per step (theory.md 0.3)."""
        return self.lr * self.wd

    @property
    def tuning_factor(self) -> float:
        """``N lr wd / (B (1 - momentum))`` per epoch with the true ratio N/B (Yun et al., eq. 27)."""
        return self.N / self.B * self.intrinsic_lr / (1 - self.momentum)

    @property
    def decoupled_tuning_factor(self) -> float:
        """``N lr wd / B`` per epoch: decoupled weight decay knows no 1/(1 - momentum) (theory.md 9.5)."""
        return self.N / self.B * self.intrinsic_lr

    def replace(self, **changes: Any) -> HyperParameters:
        """A copy with some values changed."""
        return dataclasses.replace(self, **changes)
