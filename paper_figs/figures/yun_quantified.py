"""The statements of Yun et al. in numbers: where the best cells are, slopes, and spread of the angle.

The paper says that best cells lie on the diagonal of equal tuning factor, so the best wd falls like 1/N and grows like B, and
that cells of the diagonal turn alike after the transient. Here a best cell counts as off the diagonal only beyond one
standard error of the difference; intervals are bootstrapped over seeds, and with three seeds rather too narrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from paper_figs import style
from paper_figs.findings.yun_quantified import VERDICTS, find, seen
from paper_figs.scripts import Drawn, Records

if TYPE_CHECKING:
    from paper_figs.seeds import Interval

SOURCE = "Yun et al. 2022, sec. 5; theory.md 10.13"
EXPERIMENTS = ("yun-table1", "yun-table2", "yun-table3", "yun-table4", "yun-table5", "yun-table6", "yun-table7")
PARTIAL = True
SAID = {"on": ("on it", "0.25"), "within": ("off, within 1 s.e.", "0.6"), "off": ("off", "0.9"),
        "unknown": ("unknown", "white")}  # fmt: skip


def draw(records: Records) -> Drawn:
    """Verdicts of the columns, slopes with bootstrap intervals, spread of the angle; part by part."""
    found = find({name.removeprefix("yun-table"): records[name] for name in EXPERIMENTS if name in records})
    figure, axes = style.panels(3, width=3.7, height=5.2)
    rows = np.arange(len(found.parts))
    counts = np.array([[one.verdicts.count(verdict) for one in found.parts] for verdict in VERDICTS])
    for k, verdict in enumerate(VERDICTS):
        label, shade = SAID[verdict]
        axes[0].barh(rows, counts[k], left=counts[:k].sum(axis=0), color=shade, ec="0.2", lw=0.6, label=label,
                     hatch="//" if verdict == "off" else None)  # fmt: skip
    for k, one in enumerate(found.parts):
        hide = "_" * bool(k)
        _interval(axes[1], one.slope, k, 0, fmt="o", label=f"{hide}ours, 95 %")
        axes[1].plot(one.printed, k + 0.22, "x", ms=5, color="0.3", label=f"{hide}from the paper's table")
        axes[1].plot(one.part.expected_slope, k, "|", ms=13, mew=1.6, color=style.color(1), label=f"{hide}predicted")
        for series, (kind, spread) in enumerate(one.spreads.items()):
            _interval(axes[2], spread.interval, k, series, fmt=style.MARKERS[series], label=hide + kind)
    titles = (("best cells against the diagonal\n(in brackets: best or second on it)", "columns"), ("log(best) against log(N or B)", "slope"),
              ("spread of ln(angle per epoch)", "standard deviation over cells"))  # fmt: skip
    ticks = [f"{one.name} ({one.leading[0]})" for one in found.parts]
    for axis, (title, label) in zip(axes, titles, strict=True):
        axis.set_yticks(rows, ticks if axis is axes[0] else [""] * rows.size, fontsize=7)
        axis.set(ylim=(rows.size - 0.4, -0.6), title=title, xlabel=label)
        axis.legend(fontsize=6.5, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    axes[0].xaxis.get_major_locator().set_params(integer=True)
    return Drawn(figure, seen(found))


def _interval(axis: Any, one: Interval, row: int, series: int, **kwargs: Any) -> None:
    """A value with the bounds of its interval, without bounds where there are none."""
    bars = [[max(0, one.value - one.low)], [max(0, one.high - one.value)]]
    axis.errorbar([one.value], [row], xerr=np.nan_to_num(bars), ms=4, color=style.color(series), **kwargs)
