"""The scripts: what each draws, what it needs, read from its file; a script is imported only when it draws.

A file ``paper_figs/figures/a_name.py`` is the figure ``a-name``. It holds

- a docstring: the title, then what the paper says;
- ``SOURCE``: the paper's figure or table, and sections of the theory;
- ``EXPERIMENTS``: names of `validation.experiments` whose records it draws (left out: none); ``PARTIAL = True`` if some
  of them are enough;
- ``runs()``: the simulations it draws, a dict of `sde_si.run.Run` (left out: none), with ``KEEP``, what is kept of
  them; or ``configuration()`` and ``measure()`` for another kind of simulation;
- ``draw(records)``: a `Drawn` from the records by name; that of its own simulations is ``records["simulated"]``.

It draws, in 20 to 60 lines. Where finding what is drawn and said takes more than a few of them, that stands in a file
of the same name in ``paper_figs/findings``.
"""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from matplotlib.figure import Figure

    from paper_figs.grid import Table

FOLDER = Path(__file__).parent / "figures"
SIMULATED = "simulated"
Records: TypeAlias = "Mapping[str, xr.Dataset]"


class Drawn(NamedTuple):
    """What a script makes.

    Attributes
    ----------
    figure : Figure
    seen : str
        What is seen, in sentences, with numbers taken from the records.
    tables : tuple of Table
        Written as Markdown and LaTeX, too.
    """

    figure: Figure
    seen: str
    tables: tuple[Table, ...] = ()


def styled() -> Any:
    """The one style, for drawing and for saving."""
    from sde_si import style

    # Legends stand on white: dense figures have lines below them.
    legends: Any = {
        "legend.frameon": True,
        "legend.framealpha": 0.85,
        "legend.edgecolor": "none",
        "legend.fancybox": False,
    }
    return style.styled(legends)


@dataclass(frozen=True)
class Script:
    """One figure or table.

    Attributes
    ----------
    name, title, text, source : str
        Name on the command line; first line of the docstring; the rest of it; where the paper has it.
    experiments : tuple of str
        Whose records it needs.
    simulates : bool
        Whether it has simulations of its own.
    partial : bool
        Whether it draws with some of the experiments, too.
    """

    name: str
    title: str
    text: str
    source: str
    experiments: tuple[str, ...]
    simulates: bool
    partial: bool = False

    @property
    def module(self) -> ModuleType:
        """The script itself."""
        return import_module(f"paper_figs.figures.{self.name.replace('-', '_')}")

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of all records that it draws."""
        return ((SIMULATED,) if self.simulates else ()) + self.experiments

    def draw(self, records: Records) -> Drawn:
        """Draw from records, in the one style."""
        from paper_figs.style import tidy

        with styled():
            drawn = self.module.draw(records)
            tidy(drawn.figure)
        return drawn


def read(path: Path) -> Script:
    """What a script's file says of itself."""
    tree = ast.parse(path.read_text())
    title, _, text = (ast.get_docstring(tree) or "").partition("\n")
    constants: dict[str, Any] = {}
    for node in tree.body:
        name = getattr(node.targets[0], "id", "") if isinstance(node, ast.Assign) else ""
        if isinstance(node, ast.Assign) and name in ("SOURCE", "EXPERIMENTS", "PARTIAL"):
            constants[name] = ast.literal_eval(node.value)
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return Script(
        name=path.stem.replace("_", "-"),
        title=title.strip().rstrip("."),
        text=text.strip(),
        source=constants.get("SOURCE", ""),
        experiments=tuple(constants.get("EXPERIMENTS", ())),
        simulates=bool(functions & {"runs", "measure"}),
        partial=bool(constants.get("PARTIAL", False)),
    )


@functools.cache
def scripts() -> dict[str, Script]:
    """All scripts by name, in the order of the alphabet."""
    found = (read(path) for path in sorted(FOLDER.glob("*.py")) if not path.stem.startswith("_"))
    return {one.name: one for one in found}
