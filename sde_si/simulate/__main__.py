"""``python -m sde_si.simulate``."""

import sys

from sde_si.simulate.cli import main

sys.exit(main())
