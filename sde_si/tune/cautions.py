"""What to know before trusting a transfer, each with its numbers. To add a warning, write it below `@caution`."""

from __future__ import annotations

import itertools
import math

from sde_si import theory
from sde_si.tune.change import CAUTIONS, Caution, Change, caution
from sde_si.tune.effects import factor_of, is_decoupled, is_sgd, persistence
from sde_si.tune.lag import lag

CLOSE = 1.1  # E|x|^2 within 10 % of what scaling with the batch promises (theory.md 4.5)
DROPPED = 0.01  # share of an epoch lost with its last, partial batch
LONG = 100  # memories of the momentum in an epoch above which they do not show
LARGE_STEP = 0.1  # lr wd above which a step's decay shows by itself
OFF = 0.1  # relative error of exp(-T) as the law of an epoch
FELT = 1.5  # factor on lr that parameters without a norm layer behind them feel
RELATIVE = 1e-9  # below it two values are the same


def collect(change: Change) -> tuple[Caution, ...]:
    """All that apply."""
    return tuple(one for one in (function(change) for function in CAUTIONS.values()) if one is not None)


@caution("transient")
def transient(change: Change) -> Caution | None:
    """A phase of the schedule that is shorter than the norm's relaxation, or that it cannot follow (theory.md 10.7)."""
    found = change.phases()
    late = [one for p in found if (one := lag(p, end=p is found[-1]))]
    if not late:
        return None
    worst = max(late, key=lambda one: one.relaxation_epochs / one.left)
    others = len(late) - 1
    also = f", nor in {others} other phase{'s' if others > 1 else ''}" if others else ""
    text = f"{worst.text(change.after.lr)}: the angle of equilibrium is not reached there{also} (theory.md 10.7)"
    return Caution("transient", text, worst.relaxation_epochs, worst.left)


@caution("noise")
def noise(change: Change) -> Caution | None:
    """Noise no longer dominates: a batch k times as large has k times the signal over noise (theory.md 4.5).

    With momentum G/tau counts up to (1+mu)/(1-mu) times, by how long the mean gradient persists
    (`sde_si.tune.effects.persistence`): E|x|^2 over that of the noise is sqrt(1 + c G/tau), so that it grows by
    less than `CLOSE` up to k = (CLOSE^2 (1 + c r) - 1)/(c' r), c before and c' after, r = G/tau before.
    """
    found = change.gradients
    if not found.signal:
        return None
    before, after = (found.signal / found.noise_at(hp.B) for hp in (change.before, change.after))
    k, mu = change.after.B / change.before.B, change.after.momentum
    factors = [persistence(change.optimizer, hp.momentum) for hp in (change.before, change.after)]
    ends = [(1.0, 1.0), (factors[0], factors[1])]  # decorrelates at once; persists
    edges = [(CLOSE**2 * (1 + c * before) - 1) / (d * before) for c, d in ends]
    if k <= 1 or k <= min(edges):
        return None
    if not is_sgd(change.optimizer):  # the length of their weights is not made by the gradients' size (theory.md 6.7)
        text = (
            f"the batch grows by k = {k:.4g}: signal over noise {before:.3g} becomes {after:.3g}, and noise domination "
            f"is lost at k ~ 1 + tau/G = {1 + 1 / before:.3g} (theory.md 4.5)"
        )
        return Caution("noise", text, k, 1 + 1 / before)
    growth = [theory.norm_ratio(d * after) / theory.norm_ratio(c * before) for c, d in ends]
    lost = [1 + 1 / (d * before) for _, d in ends]
    # Before and after may have different momentum: then either limit may be the larger one.
    grown, off, over = (f"{v[0]:.3g}" if factors == [1, 1] else "{:.3g} to {:.3g}".format(*sorted(v))
                        for v in (growth, edges, lost))  # fmt: skip
    name = "1 + tau/G" if factors[1] == 1 else "1 + tau/(c G)"
    text = (
        f"the batch grows by k = {k:.4g}: signal over noise {before:.3g} becomes {after:.3g}, and E|x|^2 is "
        f"{grown} times what noise alone promises; {100 * (CLOSE - 1):.0f} % off from k = {off}, noise "
        f"domination lost at k ~ {name} = {over} (theory.md 4.5)"
    )
    if factors != [1, 1]:
        text += (
            f"; the two ends: a mean gradient that persists for much longer than 1/(1 - momentum) = {1 / (1 - mu):.3g} "
            f"steps counts c = (1 + momentum)/(1 - momentum) = {factors[1]:.3g} times, one that decorrelates at once "
            f"c = 1"
        )
    edge = min(edges)
    return Caution("noise", text, k, edge)


@caution("temperature")
def heat(change: Change) -> Caution | None:
    """The temperature is not kept: with the tuning factor kept it goes as N^(-1/2) (theory.md 8.9)."""
    effect = change.effects.get("temperature")
    ratio = effect.ratio if effect else None
    if ratio is None or abs(ratio - 1) < RELATIVE:
        return None
    data = change.after.N / change.before.N
    why = f"N is {data:.4g} times as large" if data != 1 else "the tuning factor is another one"
    text = (
        f"the temperature of the direction changes by {ratio:.4g}, since {why}: the same tuning factor, another "
        "stationary law (theory.md 8.9)"
    )
    if data == 1:
        text = f"the temperature of the direction changes by {ratio:.4g}, since {why} (theory.md 8.9)"
    return Caution("temperature", text, ratio, 1.0)


@caution("decay")
def decay(change: Change) -> Caution | None:
    """Coupled or decoupled decay: with another momentum, or another lr, two laws (theory.md 9.5)."""
    before, after = change.before, change.after
    if is_sgd(change.optimizer):
        if after.momentum == 0 and before.momentum == 0:
            return None
        other = "sgd" if is_decoupled(change.optimizer) else "sgdw"
        mine, theirs = factor_of(after, change.optimizer), factor_of(after, other)
        kind, opposite = ("decoupled", "coupled") if is_decoupled(change.optimizer) else ("coupled", "decoupled")
        drift = factor_of(after, other) / factor_of(before, other)
        kept = "" if abs(drift - 1) < RELATIVE else f", and would change by {drift:.4g}: not the same transfer"
        text = (
            f"weight decay is taken to be {kind} ({_WHERE[kind]}); were it {opposite}, the tuning factor would be "
            f"{theirs:.3g}, not {mine:.3g}, times would be {mine / theirs:.3g} times as long{kept} (theory.md 9.5)"
        )
        if abs(theirs / mine - 1) < RELATIVE:  # without momentum there is one decay only
            text = (
                f"weight decay is taken to be {kind} ({_WHERE[kind]}) before, too; were it {opposite} there, this "
                f"would change the tuning factor by {drift:.4g}: not the same transfer (theory.md 9.5)"
            )
        return Caution("decay", text, theirs / mine, 1.0)
    scale = after.lr / before.lr
    if abs(scale - 1) < RELATIVE:
        return None
    text = (
        f"decay is taken to be lr wd a step (torch.optim); where it is wd alone, as in the AdamW paper, multiply the "
        f"new wd by the {scale:.4g} by which lr changes (theory.md 7.5)"
    )
    return Caution("decay", text, scale, 1.0)


_WHERE = {"coupled": "in the gradient, torch.optim.SGD", "decoupled": "beside the gradient, SGDW"}


@caution("steps")
def steps(change: Change) -> Caution | None:
    """The last, partial batch is dropped: N // B steps, not N/B (theory.md 12)."""
    before, after = (hp.steps_per_epoch * hp.B / hp.N for hp in (change.before, change.after))
    ratio = after / before
    if abs(ratio - 1) <= DROPPED:
        return None
    hp = change.after
    text = (
        f"an epoch has {hp.steps_per_epoch} whole batches, N/B is {hp.N / hp.B:.4g}: dropping the last batch changes "
        f"steps an epoch by {100 * (ratio - 1):+.3g} % and the angle per epoch by about {50 * (ratio - 1):+.3g} % "
        "beyond the tuning factor"
    )
    return Caution("steps", text, ratio, 1.0)


@caution("angle")
def angle(change: Change) -> Caution | None:
    """Epochs so short that the momentum's memory shows: the same tuning factor, another angle (theory.md 9.2, 10.9)."""
    kept, turned = change.effects["tuning_factor"].ratio, change.effects["angle_epoch"].ratio
    if kept is None or turned is None or abs(kept - 1) > RELATIVE or abs(turned - 1) <= DROPPED:
        return None
    short = min((change.before, change.after), key=lambda hp: hp.steps_per_epoch * (1 - hp.momentum))
    if short.momentum == 0 or short.steps_per_epoch * (1 - short.momentum) > LONG:
        return None
    memories = short.steps_per_epoch * (1 - short.momentum)
    text = (
        f"the angle per epoch changes by {100 * (turned - 1):+.3g} % although the tuning factor is kept: an epoch of "
        f"{short.steps_per_epoch} steps is only {memories:.3g} times as long as the "
        "momentum's memory (theory.md 10.9)"
    )
    return Caution("angle", text, turned, 1.0)


@caution("step-size")
def step_size(change: Change) -> Caution | None:
    """lr wd so large that a step, or the momentum's memory, shows by itself (theory.md 9.2, 9.4, 12)."""
    hp, u, mu = change.after, change.after.intrinsic_lr, change.after.momentum
    if u >= LARGE_STEP:
        text = f"lr wd = {u:.4g} is close to 1: each step shrinks the weights by {100 * u:.3g} %"
        return Caution("step-size", text, u, LARGE_STEP)
    if not is_sgd(change.optimizer) or is_decoupled(change.optimizer) or mu == 0:
        return None
    edge = (1 - math.sqrt(mu)) ** 2
    if u > edge:
        text = (
            f"lr wd = {u:.4g} is above (1 - sqrt(momentum))^2 = {edge:.4g}: the direction swings back instead of "
            "forgetting, and the tuning factor does not describe it (theory.md 9.2)"
        )
        return Caution("step-size", text, u, edge)
    exact = -math.log(theory.lag_roots(u, mu)[0])
    error = exact * (1 - mu) / u - 1
    if error <= OFF:
        return None
    text = (
        f"lr wd = {u:.4g} is not small against (1 - momentum)^2: the direction forgets {100 * error:.3g} % faster than "
        f"the tuning factor says (theory.md 9.2), and the norm {'swings' if 4 * u > edge else 'relaxes'} in "
        f"{theory.relaxation_steps(u, mu) / hp.steps_per_epoch:.3g} epochs (9.4)"
    )
    return Caution("step-size", text, error, OFF)


@caution("momentum-form")
def momentum_form(change: Change) -> Caution | None:
    """At a change of lr the two forms of momentum differ (theory.md 0.8, 9.10)."""
    if change.after.momentum == 0 or not is_sgd(change.optimizer):
        return None
    found = change.phases()
    drops = [(a, b) for a, b in itertools.pairwise(found) if b.lr < a.last_lr * (1 - RELATIVE)]
    if not drops:
        return None
    before, after = max(drops, key=lambda pair: round(pair[0].last_lr / pair[1].lr, 9))
    drop, memory = before.last_lr / after.lr, 1 / (1 - change.after.momentum)
    text = (
        f"lr falls by {drop:.4g} after epoch {before.last}: torch's momentum shrinks the velocity at once; in the "
        f"papers' form it stays {drop:.4g} times too long for about {memory:.3g} steps (theory.md 0.8)"
    )
    return Caution("momentum-form", text, drop, 1.0)


@caution("start")
def start(change: Change) -> Caution | None:
    """Before equilibrium, and in parameters that are not scale-invariant, wd does not count (theory.md 7.1, 7.7, 15.4).

    There a sample moves the weights by lr/(B (1 - momentum)), with AdamW and Lion by lr/sqrt(B), and a step by B times,
    or sqrt(B) times, as much.
    """
    before, after = change.before, change.after
    grown = after.B / before.B
    if is_sgd(change.optimizer):
        step, name = after.lr * (1 - before.momentum) / (before.lr * (1 - after.momentum)), "lr/(B (1 - momentum))"
        sample = step / grown
    else:
        step, name = after.lr / before.lr, "lr/sqrt(B)"
        sample = step / math.sqrt(grown)
    time = change.effects["time_to_equilibrium"].after.predicted
    until = f" (about {time:.3g} epochs)" if time is not None else ""
    said = []
    if not 1 / FELT <= sample <= FELT:
        said.append(
            f"{name} is {sample:.4g} times as large: until the norm has relaxed{until} the weights, and biases, affine "
            "norms and a free last layer always, move by it and not by the tuning factor"
        )
    if step > FELT:
        said.append(f"a step is {step:.4g} times as long until the norm has relaxed{until}: start with a warm-up")
    if not said:
        return None
    number = max(sample, step, key=lambda ratio: abs(math.log(ratio)))
    return Caution("start", "; ".join(said), number, FELT)
