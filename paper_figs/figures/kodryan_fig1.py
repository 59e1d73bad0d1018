"""Training on the sphere at fixed effective learning rates: loss, error and gradient norm.

Kodryan et al. train scale-invariant networks at fixed effective learning rates and find three regimes: convergence at
different speeds and to different minima, a level of the loss that depends on the rate, and the loss of random guessing.
"""

import json

import numpy as np
import xarray as xr

from paper_figs import networks, style
from paper_figs.figures.kodryan_toy import MARKS
from paper_figs.rates import fixed_rates, threshold
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import of_seeds, seed_error, seed_mean
from sde_si.regimes import BORDER, UNDECIDED, classify

SOURCE = "Kodryan et al. 2022, fig. 1; theory.md 5.1"
EXPERIMENTS = ("kodryan-regimes",)
SHOWN = (1e-4, 1e-3, 1e-2, 2e-2, 3e-2, 2e-1)  # rates with curves: more cannot be told apart


def why(record: xr.Dataset, i: int) -> str:
    """What `sde_si.regimes` says of a cell."""
    loss, norm, angle = (record[name][i].values for name in ("train_loss", "gradient", "angle_step"))
    known = {"iterations": np.cumsum(record["steps_per_epoch"][i].values), "random_loss": record.attrs["random_loss"]}
    return classify(loss, np.sqrt(norm), angle, **known).why.replace("+-", "±")


def draw(records: Records) -> Drawn:
    """Training loss and effective gradient norm over epochs; final loss and test error against the rate."""
    record = records["kodryan-regimes"]
    (cells, fixed, regime), epoch = fixed_rates(record), record["epoch"].values
    random, tenth = float(record.attrs["random_loss"]), max(1, epoch.size // 10)
    figure, axes = style.panels(2, 2, width=4.8, height=3.2)
    shown = (axes[0], "train_loss", 1.0, "training loss"), (axes[1], "gradient", 0.5, "effective gradient norm, rms")
    for axis, name, power, label in shown:
        for j, k in enumerate((k for k, rate in enumerate(fixed) if np.isclose(rate, SHOWN).any()), start=1):
            mean, error = networks.mean_and_error(networks.of_cell(record, cells[k], name) ** power)
            style.measured(axis, epoch, mean, error, i=j, log=True)
            axis.text(1.15 * epoch[-1], 0.85 * mean[-tenth:].mean(), f"{fixed[k]:g}", fontsize=8)
        axis.set(xscale="log", yscale="log", xlabel="epoch", ylabel=label, title="± s.e.; at the curves: effective LR")
    late = np.array([networks.of_cell(record, i, "train_loss")[:, -tenth:].mean(axis=1) for i in cells])
    wrong = np.array([100 * (1 - networks.of_cell(record, i, "test_accuracy")[:, -1]) for i in cells])
    paper, theirs = json.loads(record.attrs["paper"]), []
    for k, (name, of) in enumerate(zip(paper["regimes"], paper["effective_lr"], strict=True)):
        here = [f"{r:g} {x}" for r, x in zip(fixed, regime, strict=True) if min(of) <= r <= max(of)]
        theirs.append(f"{name} from {min(of):g} to {max(of):g}, here {', '.join(here) or 'no rate'}")
        for axis in axes[2:]:
            axis.axvspan(min(of), max(of), color=f"{0.92 - 0.09 * k}", lw=0, zorder=0)
            axis.text(np.sqrt(min(of) * max(of)), 1.01, f"paper:\n{name.split()[-1]}", ha="center", fontsize=7,
                      transform=axis.get_xaxis_transform())  # fmt: skip
    for axis in (axes[0], axes[2]):
        axis.axhline(random, color="0.2", ls=":", lw=1.2, label="random weights")
        axis.legend(loc="lower left", fontsize=7)
    for axis, values in ((axes[2], late), (axes[3], wrong)):
        for name, mark in MARKS.items():
            at = regime == name
            axis.errorbar(fixed[at], seed_mean(values[at]), np.nan_to_num(seed_error(values[at])), fmt=mark, ms=4.5,
                          color="0.1", mfc="white" if mark == "s" else "0.1", label=f"here: {name}")  # fmt: skip
        axis.set(xscale="log", xlabel="effective LR [per step]", ylabel="test error [%]")
    axes[2].set(yscale="log", ylabel=f"training loss, last {tenth} epochs")
    axes[3].legend(loc="center left", fontsize=7)
    (low, high), best, of = threshold(record), seed_mean(wrong).argmin(), paper["effective_lr"]
    found = "; ".join(f"{name}: {', '.join(f'{r:g}' for r in fixed[regime == name]) or 'none'}" for name in MARKS)
    unsure = "; ".join(f"{fixed[k]:g}, {why(record, cells[k])}" for k in np.flatnonzero(regime == UNDECIDED)) or "none"
    # The last layer is fixed and belongs to the seed, and with it the loss of random weights: compare by seed, too.
    own, above = networks.of_cell(record, cells[0], "train_loss")[:, 0], []
    for k in np.flatnonzero(seed_mean(late) > random):
        turn = style.DEGREES * networks.of_cell(record, cells[k], "angle_step")[:, -tenth:].mean()
        above.append(f"{fixed[k]:g}: {of_seeds(late[k] / random)} ({of_seeds(late[k] / own)}, {turn:.0f} degrees)")
    seen = f"""{networks.caption(record)}. By sde_si.regimes: {found}. Undecided (the gradient norm's border of
    convergence is t^-{BORDER:g}): {unsure}. Least test error: {of_seeds(wrong[best], 1)} % at {fixed[best]:g}. Random
    weights have a loss of {random:.2f}. Levels above it, as multiples (in brackets of the same seeds' loss in the first
    epoch at {fixed[0]:g}, nearly that of random weights; angle per step): {"; ".join(above) or "none"}. Weights that a
    step turns by a right angle are little but one gradient; those need not have the loss of random ones. Paper's groups
    (grey, as its notebook draws them, ConvNet on CIFAR-10): {"; ".join(theirs)}. Threshold of convergence here:
    {f"{low:g} to {high:g}, {low / min(of[1]):.2g} to {high / max(of[0]):.2g} times theirs" if low < high else "none"}
    (network and data are others; more is not known)."""
    return Drawn(figure, " ".join(seen.split()))
