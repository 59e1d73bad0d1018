"""Tables as Markdown, LaTeX and image: of words, and of the papers' kind, accuracy over hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray
MARK = "#fff2b3"  # of cells on the diagonal; in grey they are told by their frame
NOTE = "† equal tuning factor; bold: best of the column"


@dataclass(frozen=True, kw_only=True)
class Table:
    r"""A table of words.

    Attributes
    ----------
    title : str
    corner : str
        What rows and columns are, as ``lr, wd \ N``.
    rows, columns : tuple of str
        Their heads.
    cells : tuple of tuple of str
        Row by row.
    note : str
        Beside the title; empty: none.
    """

    title: str
    corner: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...] = ()
    note: str = ""
    side: ClassVar[Literal["left", "center", "right"]] = "left"  # of the picture's cells

    @property
    def best(self) -> Array:
        """Which cells are bold, shape (row, column)."""
        return np.zeros((len(self.rows), len(self.columns)), bool)

    @property
    def framed(self) -> Array:
        """Which cells are marked, shape (row, column)."""
        return np.zeros((len(self.rows), len(self.columns)), bool)

    @property
    def widths(self) -> Array:
        """Of the picture's columns, the heads of the rows first, in characters."""
        inside = [[self.cell(i, j) for i in range(len(self.rows))] for j in range(len(self.columns))]
        longest = [max(map(len, (head, *column))) for head, column in zip(self.columns, inside, strict=True)]
        return np.array([max(map(len, (self.corner, *self.rows))), *longest]) + 3.0

    def cell(self, row: int, column: int) -> str:
        """What stands in a cell."""
        return self.cells[row][column]

    def markdown(self) -> str:
        """Markdown: the best of a column bold, marked cells with a dagger."""
        lines = [f"**{self.title}**" + (f" ({self.note})" if self.note else ""), ""]
        lines += [
            f"| {self.corner} | " + " | ".join(self.columns) + " |",
            "|---|" + ("---:|" if self.side == "right" else "---|") * len(self.columns),
        ]
        best, framed = self.best, self.framed
        for i, head in enumerate(self.rows):
            cells = []
            for j in range(len(self.columns)):
                text = self.cell(i, j)
                text = f"**{text}**" if text and best[i, j] else text
                cells.append(f"{text} †" if text and framed[i, j] else text)
            lines.append(f"| {head} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def latex(self) -> str:
        r"""LaTeX with booktabs and ``\usepackage[table]{xcolor}``; marked cells have colour and a dagger."""
        caption = ". ".join(_escaped(one) for one in (self.title, self.note) if one).replace("..", ".")
        lines = [r"\begin{table}", r"\centering", rf"\caption{{{caption}}}"]
        lines += [rf"\begin{{tabular}}{{l{self.side[0] * len(self.columns)}}}", r"\toprule"]
        lines += [" & ".join(_escaped(head) for head in (self.corner, *self.columns)) + r" \\", r"\midrule"]
        best, framed = self.best, self.framed
        for i, head in enumerate(self.rows):
            cells = []
            for j in range(len(self.columns)):
                text = _escaped(self.cell(i, j)).replace(r" $\pm$ ", r"\,$\pm$\,")
                text = rf"\textbf{{{text}}}" if text and best[i, j] else text
                cells.append(rf"\cellcolor{{yellow!40}}{text}$^\dagger$" if text and framed[i, j] else text)
            lines.append(" & ".join([_escaped(head), *cells]) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"])

    def draw(self, axis: Axes) -> None:
        """The table as a picture."""
        from matplotlib.transforms import Bbox

        axis.set_axis_off()
        axis.set_title(self.title, fontsize="small", loc="left")
        cells = [[head, *(self.cell(i, j) for j in range(len(self.columns)))] for i, head in enumerate(self.rows)]
        widths = self.widths
        table = axis.table(cells, colLabels=[self.corner, *self.columns], colWidths=list(widths / widths.sum()),
                           bbox=Bbox.from_bounds(0, 0, 1, 1), cellLoc=self.side)  # fmt: skip
        table.auto_set_font_size(False)
        table.set_fontsize(7.5)
        best, framed = self.best, self.framed
        for (row, column), cell in table.get_celld().items():
            cell.set_edgecolor("0.8")
            cell.set_linewidth(0.4)
            if self.side == "left":  # as a share of the column the space would push long words out
                cell.PAD = 0.03
            if row == 0:
                cell.set_facecolor("0.93")
            elif column and framed[row - 1, column - 1]:
                cell.set_facecolor(MARK)
                cell.set_edgecolor("0.2")
                cell.set_linewidth(1.1)
                cell.set_zorder(3)
            if row and column and best[row - 1, column - 1]:
                cell.set_text_props(weight="bold")


@dataclass(frozen=True, kw_only=True)
class Grid(Table):
    """A table of numbers.

    Attributes
    ----------
    value, stderr : ndarray, shape (row, column)
        nan where there is no cell or no error.
    marked : ndarray of bool, shape (row, column)
        Cells of the constant tuning factor.
    digits : int
        After the point.
    instead : ndarray of str, shape (row, column), optional
        Said in the place of a value that is not there.
    """

    value: Array
    stderr: Array
    marked: Array
    digits: int = 2
    instead: Array | None = None
    note: str = NOTE
    side: ClassVar[Literal["left", "center", "right"]] = "right"

    @property
    def best(self) -> Array:
        """Which cell is the best of its column, shape (row, column)."""
        filled = np.where(np.isfinite(self.value), self.value, -math.inf)
        return np.isfinite(self.value) & (filled == filled.max(axis=0, initial=-math.inf))

    def cell(self, row: int, column: int) -> str:
        """Value and standard error; where there is none what stands in its place."""
        absent = "" if self.instead is None else str(self.instead[row, column])
        return with_error(self.value[row, column], self.stderr[row, column], self.digits, absent=absent)

    @property
    def framed(self) -> Array:
        """Cells of the constant tuning factor."""
        return self.marked

    @property
    def widths(self) -> Array:
        """All columns of one width."""
        cells = [self.cell(i, j) for i in range(len(self.rows)) for j in range(len(self.columns))]
        longest = max(map(len, (self.corner, *self.rows)))
        wide = max(map(len, ("     ", *cells, *self.columns))) + 1.5
        return np.array([longest + 1.0, *[wide] * len(self.columns)])


def with_error(value: float, error: float = math.nan, digits: int = 3, absent: str = "-") -> str:
    """A number and its standard error, where they are there."""
    if not math.isfinite(value):
        return absent
    return f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if math.isfinite(error) else "")


def stacked(tables: Sequence[Table], width: float) -> Figure:
    """Tables of equally many rows as one picture, one under the other; `width` in inches."""
    from paper_figs import style

    figure, axes = style.panels(1, len(tables), width=width, height=0.45 + 0.19 * len(tables[0].rows))
    for axis, table in zip(axes, tables, strict=True):
        table.draw(axis)
    return figure


LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "^": r"\^{}", "~": r"\~{}", **{sign: rf"\{sign}" for sign in "%_&#${}"},
    **{sign: f"${sign}$" for sign in "|<>"},
    **{sign: rf"$\{name}$" for sign, name in {
        "α": "alpha", "η": "eta", "λ": "lambda", "μ": "mu", "ρ": "rho", "σ": "sigma", "τ": "tau", "Σ": "Sigma",
        "±": "pm", "×": "times", "∞": "infty",
    }.items()},
    "†": r"$^\dagger$", "²": "$^2$", "⁴": "$^4$",
})  # fmt: skip


def _escaped(text: str) -> str:
    """Text as LaTeX sets it with any engine and font."""
    return text.translate(LATEX)


def rank_correlation(ours: Array, theirs: Array) -> tuple[float, float, int]:
    """Spearman's rank correlation between two tables of one shape, its p-value, and the number of common cells.

    nan with fewer than three cells.
    """
    from scipy.stats import spearmanr

    both = np.isfinite(ours) & np.isfinite(theirs)
    count = int(both.sum())
    if count < 3 or np.ptp(ours[both]) == 0 or np.ptp(theirs[both]) == 0:
        return math.nan, math.nan, count
    found: Any = spearmanr(ours[both], theirs[both])
    return float(found.statistic), float(found.pvalue), count
