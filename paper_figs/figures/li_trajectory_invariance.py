"""Loss curves of a network at equal learning rate and at equal product lr wd.

Li et al.: curves of AdamW overlap early where lr is equal, late where lr wd is equal. By theory the change comes after
the memory of the norm: 1/(2 lr wd) steps of AdamW, (1-mu)/(4 lr wd) of SGDM.
"""

from typing import Any

from paper_figs import networks, style
from paper_figs.findings.li_trajectory_invariance import NOTE, find, seen, table
from paper_figs.scripts import Drawn, Records

SOURCE = "Li et al. 2025, trajectory invariance; theory.md 7.8, 9.10"
EXPERIMENTS = ("li-trajectory-invariance",)


def draw(records: Records) -> Drawn:
    """Loss over the mean of all, angle per step, and how well curves of equal lr and of equal lr wd collapse."""
    found = find(records["li-trajectory-invariance"])
    over = {"xscale": "log", "xlabel": "epoch", "xlim": (0.92, 1.05 * found.epoch.size)}
    figure, axes = style.panels(3, len(found.methods), width=3.9, height=3.1, subplot_kw=over)
    marks = dict(zip(found.rates, style.MARKERS, strict=False))
    shades = {product: style.color(k) for k, product in enumerate(found.products)}
    for rate, mark in marks.items():
        axes[0].plot([], [], mark, color="0.3", ms=4, label=f"lr × {rate:g}")
    for (loss, angle, collapse), method in zip(axes.reshape(-1, 3), found.methods, strict=True):
        for i, (rate, product) in enumerate(zip(method.rate, method.product, strict=True)):
            style.paper(angle, found.epoch[-15:], method.formula[i, -15:], color=shades[product])
            style.exact(angle, found.epoch, method.law[i], color=shades[product], lw=0.8)
            _course(loss, method.loss[i], marks[rate], shades[product], joined=True)
            _course(angle, method.angle[i], marks[rate], shades[product], joined=not (method.law[i] > 0).any())
        for k, (kind, score) in enumerate(method.score.items()):
            style.measured(collapse, found.epoch, *networks.mean_and_error(score[:, :-2]), i=k, label=kind, log=True)
        loss.set(title=method.name, ylabel="training loss / mean of all")
        angle.set(title=method.name, ylabel="rms angle per step [deg]", yscale="log")
        collapse.set(title=method.name, ylabel="spread within / spread of all", ylim=(0, 1.3))
        for axis, values in (loss, method.loss), (angle, method.angle):
            _label(axis, dict(zip(method.product, values[:, :, -1].mean(axis=1), strict=True)), shades)
        for product, place in ((one, max(at, 1.1)) for one, at in method.memory.items() if at <= found.epoch.size):
            collapse.text(place, 1.14, f"×{product:g}\n|", ha="center", fontsize=7, color=shades[product])
    axes[2].legend(loc="center left")
    style.below(figure, axes[0], (style.MEASURED, style.EXACT, style.PAPER), title=NOTE)
    return Drawn(figure, seen(found), (table(found),))


def _course(axis: Any, values: Any, mark: str, shade: str, joined: bool) -> None:
    """A measured curve (seed, epoch); a thin line joins the points where no other does."""
    mean, error = networks.mean_and_error(values)
    epoch, some = range(1, mean.size + 1), style.picks(mean.size, style.MARKERS.index(mark), 12, log=True)
    axis.fill_between(epoch, mean - error, mean + error, color=shade, alpha=0.25, lw=0)
    axis.plot(epoch, mean, "-", color=shade, lw=0.4 * joined)
    axis.plot(some + 1, mean[some], mark, color=shade, ms=4, mec="white", mew=0.4)


def _label(axis: Any, ends: dict[float, float], shades: dict[float, str]) -> None:
    """Products at the right of a panel, each beside its last curve, pushed apart."""
    low = float("-inf")
    for product, end in sorted(ends.items(), key=lambda one: one[1]):
        low = max(low + 0.05, axis.transAxes.inverted().transform(axis.transData.transform((1, end)))[1])
        axis.text(1.01, low, f"×{product:g}", transform=axis.transAxes, color=shades[product], fontsize=7, va="center")
