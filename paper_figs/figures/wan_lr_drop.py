"""A drop of the learning rate: how far the angle per step falls, how long it recovers, what rescaling spares.

Wan et al.: at the drop the angle falls with lr, while its new equilibrium is lower by the root only. Dividing the
weights by the fourth root of the drop puts them at the new equilibrium at once. Both suppose that the squared gradient
at the unit vector stays as it is.
"""

from collections.abc import Sequence
from typing import Any

from paper_figs import networks, style
from paper_figs.findings.wan_lr_drop import NAMES, Course, find, seen, table
from paper_figs.scripts import Drawn, Records

SOURCE = "Wan et al. 2021, LR drops and rescaling; theory.md 6.5, 9.10"
EXPERIMENTS = ("wan-lr-drop",)


def draw(records: Records) -> Drawn:
    """Angle per step over Wan's value, a panel a momentum; with the largest momentum what the recursion leaves out."""
    record = records["wan-lr-drop"]
    found, epoch = find(record), record["epoch"].values
    figure, axes = style.panels(len(found) + 1, width=3.9, height=3.3)
    for axis, (mu, pair) in zip(axes, found.items(), strict=False):
        _angle(axis, epoch, pair)
        axis.set(xlabel="epoch", yscale="log", title=f"μ = {mu:g}", ylim=(0.15, 2))
    _left_out(axes[-1], epoch, found[max(found)])
    axes[-1].set_title(f"left out, μ = {max(found):g}")
    axes[0].set_ylabel("angle per step / Wan's formula")
    style.below(figure, axes[0])
    return Drawn(figure, seen(networks.caption(record), found), (table(found),))


def _angle(axis: Any, epoch: Any, pair: Sequence[Course]) -> None:
    for i, one in enumerate(pair):
        style.measured(axis, epoch, *networks.mean_and_error(one.ratio), i=i, label=NAMES[i])
        style.exact(axis, epoch, one.exact, i=i)
        if one.sde is not None:
            style.sde(axis, epoch, one.sde, i=i, points=12)
        if i == 0:  # the formulas stand below the band of the rescaled run
            axis.plot(epoch[one.at :], one.law, ":", color="0.2", lw=1.2, label="constant gradient (6.5)")
            style.paper(axis, [1, epoch.size], [1, 1])


def _left_out(axis: Any, epoch: Any, pair: Sequence[Course]) -> None:
    for i, one in enumerate(pair):
        course = networks.mean_and_error(one.carried[:, 5:])
        style.measured(axis, epoch[5:], *course, i=i, points=epoch.size)
    style.exact(axis, epoch[[5, -1]], [0, 0], color="0.3")
    axis.set(xlabel="epoch", ylabel=r"$2\,\Sigma_k\,\mu^k\rho_k$ of the gradients")
