"""``sde-si tune ACTION``; each action is imported when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from sde_si.errors import BAD_INPUT, DONE

# action -> (module with `main`, one line for people)
ACTIONS = {
    "transfer": ("sde_si.tune.cli_transfer", "settings for another N and B that keep the tuning factor"),
    "explain": ("sde_si.tune.cli_explain", "angle per epoch, norm and effective LR over a whole schedule"),
    "suggest": ("sde_si.tune.cli_suggest", "advice from a measured record, or why there is none"),
    "search": ("sde_si.tune.cli_search", "find the tuning factor on a subset of the data"),
    "lr-range": ("sde_si.tune.cli_ramp", "learning-rate range test of any training command"),
}


def main(args: Sequence[str] | None = None) -> int:
    """``sde-si tune``; returns the exit code."""
    words = list(sys.argv[1:] if args is None else args)
    if words and words[0] in ACTIONS:
        return import_module(ACTIONS[words[0]][0]).main(words[1:])
    asked = not words or words[0] in ("-h", "--help")
    text = "usage: sde-si tune ACTION [options]\n\n" + "\n".join(f"  {k:10} {v[1]}" for k, v in ACTIONS.items())
    text += "\n\nsde-si tune ACTION --help tells the options."
    if not asked:
        text = f"error: expected an action ({', '.join(ACTIONS)}), got {words[0]!r}; try transfer\n" + text
    print(text, file=sys.stdout if asked else sys.stderr)
    return DONE if asked else BAD_INPUT
