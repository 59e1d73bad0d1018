"""How transfers and explanations are shown to people; numbers are formatted by `sde_si.comparison`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sde_si.comparison import number
from sde_si.quantities import shown

if TYPE_CHECKING:
    from rich.table import Table

    from sde_si.tune.settings import Option, Transfer

NAMES = {
    "none": "as given", "wd": "change wd", "lr": "change lr", "both": "lr and wd by the square root",
    "momentum": "change momentum", "B": "change B",
}  # fmt: skip
RELATIVE = "*"
NOISY = " (noise alone)"


def plain_table(first: str, columns: Iterable[str]) -> Table:
    """An empty table in the house's style."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    out = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    out.add_column(first, overflow="fold")
    for name in columns:
        out.add_column(name.replace("[", r"\["), justify="right", overflow="fold")
    return out


def exact(value: float) -> str:
    """A setting, to be typed: as short as it can be to twelve digits."""
    return f"{value:.12g}"


def _noisy(note: str) -> bool:
    from sde_si.tune.effects import NOISE_ALONE

    return note.startswith(NOISE_ALONE)


def _noise_lines(options: list[Option]) -> list[str]:
    """What the rows of the noise alone leave out."""
    known = [(NAMES[o.change], e) for o in options for n, e in o.effects.items() if n == "weight_norm"]
    notes = {"before": known[0][1].before.note} if known else {}
    same = len({effect.after.note for _, effect in known}) == 1
    notes |= {"after" if same else name: effect.after.note for name, effect in known}
    out = [f"{when}: {note}" for when, note in notes.items() if _noisy(note)]
    if not out:
        return []
    why = (
        "for a signal that decorrelates at once, to one that persists longer than the momentum's memory (theory.md 4.4)"
    )
    return [f"weight norm and effective LR, {'; '.join(out)}: {why}"]


def columns_of(found: Transfer) -> list[Option]:
    """What the table has beside the source: the options, or the target as it is given."""
    return list(found.options) or ([found.as_given] if found.as_given is not None else [])


def options_table(found: Transfer) -> Table:
    """Settings, then quantities: before, and after each option."""
    from sde_si.tune.settings import five

    options = columns_of(found)
    out = plain_table("", ["before", *(NAMES[option.change] for option in options)])
    for name, before in five(found.source).items():
        values = [getattr(option.hyperparameters, name) for option in options]
        out.add_row(name, exact(before), *(exact(v) if v != before else "." for v in values))
    out.add_section()
    effects = options[0].effects if options else {}
    for name, effect in effects.items():
        if all(o.effects[name].before.predicted is None for o in options):
            continue
        label, factor = shown(name).title, shown(name).factor
        cells = [
            number(effect.before.predicted, factor),
            *(number(o.effects[name].after.predicted, factor) for o in options),
        ]
        mark = RELATIVE if effect.relative else NOISY if _noisy(effect.after.note) else ""
        out.add_row(label.replace("[", r"\[") + mark, *cells)
    return out


def transfer_lines(found: Transfer) -> list[str]:
    """Verdict, ways left out, warnings, sources."""
    from sde_si.tune.effects import NO_TEMPERATURE

    out = []
    factor = number(found.tuning_factor)
    if found.kept:
        out.append(f"the target keeps the tuning factor {factor} per epoch: nothing else is to be changed")
    elif found.off is not None:
        given = ", ".join(f"{name}={exact(value)}" for name, value in found.target.items())
        out.append(
            f"with {given} and nothing else changed the tuning factor would be {number(found.off)} times {factor}"
        )
    if not found.options:
        out.append("no option keeps the tuning factor")
    out += [f"left out: {NAMES[change]}: {why}" for change, why in found.left_out.items()]
    options = columns_of(found)
    out += [f"warning: {text}" for text in shared_warnings(options)]
    if any(effect.relative for option in options for effect in option.effects.values()):
        out.append(f"{RELATIVE} relative to before; --signal and --noise-trace make all but the temperature absolute")
    out += _noise_lines(options)
    if options and "temperature" not in options[0].effects:
        out.append(NO_TEMPERATURE.format(found.optimizer))
    if options:
        by_source: dict[str, list[str]] = {}
        for name, effect in options[0].effects.items():
            if effect.after.predicted is not None and effect.after.source:
                by_source.setdefault(effect.after.source, []).append(shown(name).label)
        out += [f"{', '.join(names)}: {source}" for source, names in by_source.items()]
        out.append(
            "tuning factor and correlation time are of first order, with N/B; the other rows are exact, with N // B "
            "whole batches an epoch"
        )
        out.append("at equilibrium, noise with replacement, no confinement (theory.md 1.9, 18)")
    return out


def shared_warnings(options: Iterable[Option]) -> list[str]:
    """Each warning once, with the options that it belongs to where it does not belong to all."""
    options = list(options)
    texts: dict[str, list[str]] = {}
    for option in options:
        for one in option.warnings:
            texts.setdefault(one.text, []).append(NAMES[option.change])
    return [text if len(names) == len(options) else f"{', '.join(names)}: {text}" for text, names in texts.items()]
