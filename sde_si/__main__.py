"""``sde-si COMMAND``; each command is imported when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from sde_si.errors import BAD_INPUT, DONE
from sde_si.terminal import guarded

# command -> (module, function of the arguments, one line for people)
COMMANDS = {
    "simulate": ("sde_si.simulate.cli", "main", "simulate an optimizer and its SDE beside the exact predictions"),
    "verify": ("sde_si.verify.cli", "main", "measure every claim of the theory and give its verdict"),
    "sphere": ("sde_si.sphere.cli", "main", "train on the sphere at fixed effective learning rates: three regimes"),
    "tune": ("sde_si.tune.cli", "main", "transfer, explain and search hyperparameters by the tuning factor"),
    "sweep": ("sde_si.sweep.cli", "main", "many runs on local processes, dask or SLURM; status and collection"),
    "show": ("sde_si.show", "main_show", "table and figure of saved records"),
    "diff": ("sde_si.show", "main_diff", "which configuration keys of two records differ"),
}


def main(args: Sequence[str] | None = None) -> int:
    """The console script; returns the exit code."""
    words = list(sys.argv[1:] if args is None else args)
    if words and words[0] in COMMANDS:
        module, function, _ = COMMANDS[words[0]]
        return getattr(import_module(module), function)(words[1:])
    return guarded(lambda: _no_command(words))


def _no_command(words: list[str]) -> int:
    if words == ["--version"]:
        from sde_si.provenance import version

        print(version())
        return DONE
    asked = not words or words[0] in ("-h", "--help")
    text = "usage: sde-si COMMAND [options]\n\n" + "\n".join(f"  {k:10} {v[2]}" for k, v in COMMANDS.items())
    text += "\n\nsde-si COMMAND --help tells the options."
    if not asked:
        text = f"error: expected a command ({', '.join(COMMANDS)}), got {words[0]!r}\n" + text
    print(text, file=sys.stdout if asked else sys.stderr)
    return DONE if asked else BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
