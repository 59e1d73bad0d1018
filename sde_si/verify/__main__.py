"""``python -m sde_si.verify``."""

import sys

from sde_si.verify.cli import main

if __name__ == "__main__":
    sys.exit(main())
