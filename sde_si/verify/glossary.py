"""What the symbols of the claims mean. To add one, add it to `SYMBOLS`; one of a single claim stands in its `where`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sde_si.verify.claim import Claim

SYMBOLS: dict[str, str] = {
    "x": "weights of one scale-invariant group; x' one step later, x_k after k steps",
    "X": "weights in the SDE, at time t = lr k after k steps",
    "y": "direction of the weights, x/|x|",
    "r": "length of the weights, |x|; r_0 at the start, r_n after n steps",
    "R": "squared length of the weights, |x|^2; R* at equilibrium",
    "Q": "fourth power of the length, |x|^4; Q_e at the end of epoch e",
    "L": "loss, a function of the direction alone; grad L its gradient",
    "g": "minibatch gradient at the weights; at the unit vector it is |x| times as large",
    "G": "signal: squared mean gradient at the unit vector",
    "tau": "noise trace: trace of the minibatch gradient's covariance at the unit vector; it contains 1/B",
    "Sigma": "covariance of the minibatch gradient",
    "sigma": "standard deviation of the minibatch gradient at the unit vector per direction: tau = sigma^2 (d - 1)",
    "d": "dimension of the weights",
    "C": "number of weights on which Adam's or Lion's step acts, C = d",
    "N": "training samples",
    "B": "batch size",
    "lr": "learning rate per step; lr_k in step k",
    "wd": "weight decay",
    "mu": "momentum; m_k where it differs from step to step",
    "m": "momentum of a step where it differs from step to step, m_k; with a loss: the field of `vmf`, L = -<m, y>",
    "b1": "decay of the average gradient of Adam and Lion, --momentum",
    "b2": "decay of Adam's average squared gradient, or of Lion's memory, --beta2",
    "u": "intrinsic learning rate lr wd, per step; u' after a drop of lr",
    "a": "1 - u, what decay leaves of the weights in a step; a_k in step k",
    "b": "1 - u where the decay is decoupled from the momentum",
    "n": "steps: of an epoch, N/B, or of the lag over which a cosine is taken",
    "k": "number of a step",
    "t": "time of the SDE, lr times the number of steps",
    "T": "tuning factor per epoch: N lr wd/(B (1 - mu)) = n u/(1 - mu); without 1 - mu for decoupled decay",
    "h": "substep of an integrator in optimizer steps",
    "l": "substeps of an optimizer step in SVAG",
    "v": "velocity in displacement form: x' = x + v'",
    "V": "variance of |x|^2 over its squared mean at equilibrium, by finite dimension (theory.md 2.7)",
    "W": "standard Wiener process; in moments <x, v> with a fixed weight",
    "A": "mean squared length E|x|^2 at equilibrium, or of a step",
    "D": "mean squared velocity E|v|^2",
    "E": "mean over the noise",
    "Delta": "angle between the weights before and after a step, rad; Delta* its root mean square at equilibrium",
    "cos": "cosine between the weights at the two ends of an epoch, unless another lag is named",
    "c_n": "mean cosine between weights n steps apart at equilibrium",
    "gamma": "effective learning rate lr/|x|^2 per step; gamma* at equilibrium",
    "kappa": "factor by which lr drops; with a loss: concentration of the direction's law",
    "eta": "effective learning rate lr/|x|^2 per step, of all weights on the sphere; eta_i of group i",
    "alpha": "curvatures alpha_i of the pairs of `groups`; with momentum: growth factor of exponential learning rates",
    "F": "loss of `groups`; F* its mean over time",
    "S": "a factor of the covariance: S S' = Sigma",
    "s": "time of the direction, the integral of lr tau/((d - 1) |x|^4) dt",
}
# One- and two-letter words and names of functions, which look like symbols.
WORDS = frozenset({
    "as", "at", "by", "eq", "in", "is", "it", "md", "of", "on", "or", "so", "to", "ln", "SDE", "SGD", "Ito",
    "Laplacian", "Cov", "O", "o", "i", "j", "pi", "dX", "dt", "dW",
})  # fmt: skip
_TOKEN = re.compile(r"[A-Za-z]+[0-9]*")


def tokens(text: str) -> list[str]:
    """The words and symbols of a formula, without indices, in order, each once."""
    bare = re.sub(r"_(\{[^}]*\}|[A-Za-z0-9]+)|'s\b", "", text)
    return list(dict.fromkeys(_TOKEN.findall(bare)))


_BY_TOKEN = {tokens(name)[0]: name for name in SYMBOLS}


def symbols(claim: Claim) -> Mapping[str, str]:
    """Symbols of a claim's formula, range and tolerance and what they mean: its own first."""
    own = {token for name in claim.where for token in tokens(name)}
    # In prose "a" is a word, and "s.e." no symbol.
    prose = [
        name for text in (claim.broken, *claim.tolerance) for name in tokens(text.replace("s.e.", "")) if name != "a"
    ]
    used = dict.fromkeys([*tokens(claim.formula), *prose])
    found = [_BY_TOKEN[name] for name in used if name in _BY_TOKEN and name not in own]
    return {**claim.where, **{name: SYMBOLS[name] for name in found}}


def undefined(claim: Claim) -> list[str]:
    """Symbols of a claim's formula that are nowhere explained: short words and words with a capital."""
    own = {token for name in claim.where for token in tokens(name)}
    return [name for name in tokens(claim.formula) if (len(name) <= 2 or name[0].isupper())
            and name not in own and name not in _BY_TOKEN and name not in WORDS]  # fmt: skip
