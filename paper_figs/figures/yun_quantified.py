"""The statements of Yun et al. in numbers: where the best cells are, slopes, and spread of the angle.

The paper says that best cells lie on the diagonal of equal tuning factor, so the best wd falls like 1/N and grows like B, and
that cells of the diagonal turn alike after the transient. Here a best cell counts as off the diagonal only beyond one
standard error of the difference; intervals are bootstrapped over seeds, and with three seeds rather too narrow.
"""

import numpy as np

from paper_figs import networks, style
from paper_figs.accuracy import TITLES, ours, paper_of, theirs
from paper_figs.quantified import at_end, at_least, columns
from paper_figs.scripts import Drawn, Records
from paper_figs.turning import part_by_part, together, widths

SOURCE = "Yun et al. 2022, sec. 5; theory.md 10.13"
EXPERIMENTS = ("yun-table1", "yun-table2", "yun-table3", "yun-table4", "yun-table5", "yun-table6", "yun-table7")
PARTIAL = True


def draw(records: Records) -> Drawn:
    """Verdicts of the columns, slopes with bootstrap intervals, spread of the angle; part by part."""
    figure, axes = style.panels(3, width=3.7, height=5.2)
    names, verdicts, slopes, turned, ends, chance = [], [], [], [], 0, 0.0
    parts = []
    there = [table for table in EXPERIMENTS if table in records]
    for table in there:
        record, number = records[table], table.removeprefix("yun-table")
        paper = theirs(paper_of(record))
        for tuned, part in ours(record).items():
            parts.append(part)
            names.append(f"table {number}, {TITLES[tuned]}")
            verdicts.append([one.verdict for one in columns(part.accuracy, part.marked)])
            ends, chance = ends + at_end(part.mean), chance + part.off_by_chance()
            slopes.append((part.slope(), part.expected_slope, paper[tuned].slope().value if tuned in paper else np.nan))
            turned.append(widths(record, tuned))
    y = np.arange(len(names))
    for k, (verdict, shade) in enumerate((("on", "0.25"), ("within", "0.6"), ("off", "0.9"), ("unknown", "white"))):
        share = np.array([v.count(verdict) for v in verdicts])
        before = np.array([sum(v.count(w) for w in ("on", "within", "off", "unknown")[:k]) for v in verdicts])
        axes[0].barh(y, share, left=before, color=shade, ec="0.2", lw=0.6, hatch="//" if verdict == "off" else None,
                     label={"on": "on it", "within": "off, within 1 s.e.", "off": "off", "unknown": "unknown"}[verdict])  # fmt: skip
    for k, (found, said, printed) in enumerate(slopes):
        bars = [[max(0, found.value - found.low)], [max(0, found.high - found.value)]]
        axes[1].errorbar(
            [found.value],
            [k],
            xerr=np.nan_to_num(bars),
            fmt="o",
            ms=4,
            color=style.color(0),
            label="ours, 95 %" if not k else None,
        )
        axes[1].plot(printed, k + 0.22, "x", ms=5, color="0.3", label="from the paper's table" if not k else None)
        axes[1].plot(said, k, "|", ms=13, mew=1.6, color=style.color(1), label="predicted" if not k else None)
        for series, (name, (one, *_)) in enumerate(turned[k].items()):
            bars = [[max(0, one.value - one.low)], [max(0, one.high - one.value)]]
            axes[2].errorbar([one.value], [k], xerr=np.nan_to_num(bars), fmt=style.MARKERS[series], ms=4, color=style.color(series),
                             label=name if not k else None)  # fmt: skip
    said = (("best cells against the diagonal", "columns"), ("log(best) against log(N or B)", "slope"),
            ("spread of ln(angle per epoch)", "standard deviation over cells"))  # fmt: skip
    ticks = [f"{name}\nbest or second on it: {part.leading(2)[0]}" for name, part in zip(names, parts, strict=True)]
    for axis, (title, label) in zip(axes, said, strict=True):
        axis.set_yticks(y, ticks if axis is axes[0] else [""] * len(names), fontsize=7)
        axis.set(ylim=(len(names) - 0.4, -0.6), title=title, xlabel=label)
        axis.legend(fontsize=6.5, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    axes[0].xaxis.get_major_locator().set_params(integer=True)
    every = [verdict for one in verdicts for verdict in one]
    known = [(found, said) for found, said, _ in slopes if np.isfinite(found.low)]
    held = sum(found.holds(said) for found, said in known)
    second = [part.leading(2) for part in parts]
    count, by_chance = (sum(values) for values in zip(*second, strict=True))
    rare = at_least(count, [p for part in parts for p in part.chances(2)])
    data = "; ".join(dict.fromkeys(networks.caption(records[table]) for table in there))
    seen = (f"tables {', '.join(table.removeprefix('yun-table') for table in there)} ({data}). The diagonal has the best cell in {every.count('on')} of "
            f"{len(every)} columns and the best or the second in {count} ({by_chance:.1f} if all cells of a column were alike, which as "
            f"many or more would have with probability {rare:.2g} if columns were independent; in the paper's own tables: yun-paper). The best is "
            f"off it by less than one standard error in {every.count('within')}, beyond in {every.count('off')} ({chance:.1f} by chance), "
            f"undecided in {every.count('unknown')}; in {ends} it is at an end of the grid, and the slope is that of what the grid "
            f"shows. The predicted slope is inside the 95 % interval in {held} of {len(known)} parts.")  # fmt: skip
    seen += " Spread of the angle per epoch after the transients, " + "; ".join(
        f"table {table.removeprefix('yun-table')}: {together(records[table])}" for table in there)  # fmt: skip
    split = part_by_part(dict(zip(names, turned, strict=True)))
    return Drawn(figure, f"{seen}. By what was tuned: {split}." if split else f"{seen}.")
