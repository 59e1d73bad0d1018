"""``python -m sde_si.tune``."""

import sys

from sde_si.tune.cli import main

if __name__ == "__main__":
    sys.exit(main())
