"""``python -m sde_si.sphere``."""

import sys

from sde_si.sphere.cli import main

if __name__ == "__main__":
    sys.exit(main())
