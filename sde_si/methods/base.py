"""What a method is: a one-step map, how many draws it asks for, and its exact linear theory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from sde_si.jit import Jitted

Array = np.ndarray

# One record an optimizer step: what a step function may ask of the hyperparameters. c0..c5 are the method's own;
# radius is the length that a constraint holds.
HYPER = np.dtype(
    [(name, "f8") for name in (
        "lr", "wd", "momentum", "beta2", "eps", "batch", "h", "step", "epoch_step", "epoch_steps", "noise_variance",
        "noise1", "noise2", "c0", "c1", "c2", "c3", "c4", "c5", "radius",
    )],
    align=True,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """A one-step map and its linear theory, if it has one, with or without momentum.

    Attributes
    ----------
    step : Jitted
        ``step(x, state, hyper, offsets, g, out)``: the next weights into `out`, for weights ``x[path, d]``,
        memory ``state[slot, path, d]`` (advanced in place), one `HYPER` record, and stochastic gradients
        ``g[draw, path, d]``.
    coefficients : callable
        ``coefficients(lr, wd, momentum, h)`` gives the record's own columns (``noise1``, ``noise2``: factors on
        the minibatch noise of each draw; ``c0`` ...) as a mapping of arrays of the shape of `lr`.
    linear : callable or None
        ``linear(lr, wd, momentum, h)`` gives (T, K): without a mean gradient the second moments of
        z = (x, memory) obey Z' = T Z T' + K (tau + h' G)/E|x|^2 a substep (theory.md 9.2, 9.10), T and K 2x2.
        None: the step is not linear in (x, memory); what theory says of it stands in `sde_si.theory.nonlinear`.
    where : Jitted or None
        ``where(x, state, hyper, out)`` writes the weights at which the stochastic gradients are to be taken; None: x.
    slots : int
        Arrays of memory beside the weights.
    draws : tuple of bool
        One entry for each stochastic gradient that the step needs: does it contain the mean gradient?
    elementwise : bool
        Whether the step (and `where`) treats every weight by itself. Then it is called with all paths of a block as
        one row, or with a part of a long path: ``x[1, n]``, ``state[slot, 1, n]``, ``g[draw, 1, n]``.
    """

    step: Jitted
    coefficients: Callable[[Array, Array, Array, float], Mapping[str, Array]]
    linear: Callable[[float, float, float, float], tuple[Array, Array]] | None
    where: Jitted | None = None
    slots: int = 0
    draws: tuple[bool, ...] = (True,)
    elementwise: bool = False

    @property
    def coupled(self) -> bool:
        """Whether summed increments of a finer run drive it as they drive the finer run (strong coupling)."""
        return len(self.draws) == 1


@dataclass(frozen=True, kw_only=True)
class Method:
    """An integrator of the SDE, or a discrete optimizer.

    Attributes
    ----------
    name, summary, source : str
        As on the command line; one line for people; paper and theory.md section.
    sde : bool
        Whether it approximates the SDE (time in steps of lr) rather than being the optimizer itself.
    plain, heavy : Scheme or None
        Without and with momentum; None where the method is not defined.
    substeps : int
        Default number of substeps per optimizer step.
    weak_order : int
        Order of convergence to the SDE in the substep; 0 for an optimizer.
    decoupled : bool
        Weight decay outside the momentum: the tuning factor has no 1/(1 - momentum).
    constant_trace : bool
        Whether it needs noise whose trace is the same everywhere.
    extras : mapping of str to float
        Hyperparameters beyond lr, wd and momentum that it uses, with its defaults; ``momentum`` is its beta1.
    symmetry : mapping of str to int
        Powers of c by which hyperparameters change when the weights start c times as long, so that c times the same
        path comes out (theory.md 1.5).
    prediction : str
        Where its exact law without a mean gradient stands.
    """

    name: str
    summary: str
    source: str
    sde: bool
    plain: Scheme | None
    heavy: Scheme | None
    substeps: int = 1
    weak_order: int = 0
    decoupled: bool = False
    constant_trace: bool = False
    extras: Mapping[str, float] = field(default_factory=dict)
    symmetry: Mapping[str, int] = field(default_factory=lambda: {"lr": 2, "wd": -2})
    prediction: str = "its linear theory (Scheme.linear)"

    def scheme(self, momentum: bool) -> Scheme | None:
        """The scheme with or without momentum."""
        return self.heavy if momentum else self.plain


def unit_noise(*_: object) -> dict[str, Array]:
    """Coefficients of a method that takes the minibatch noise as it is."""
    return {}


def outer(*vector: float) -> Array:
    """The 2x2 matrix e e' of a noise that enters z = (x, memory) along e."""
    e = np.array(vector, dtype=float)
    return np.outer(e, e)
