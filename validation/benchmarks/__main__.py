"""``python -m validation.benchmarks NAME``: speed as ratios measured in one run; each writes its record and page."""

from __future__ import annotations

import sys
from importlib import import_module

# To add one, write a module with ``main(args)`` and name it here.
BENCHMARKS = ("simulate", "flow", "sphere", "sweep", "monitor", "train")


def main() -> int:
    """Run the benchmark named on the command line; returns the exit code."""
    name, *args = sys.argv[1:] or [""]
    if name not in BENCHMARKS:
        print(f"usage: python -m validation.benchmarks {'|'.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    return import_module(f"validation.benchmarks.{name}").main(args)


if __name__ == "__main__":
    sys.exit(main())
