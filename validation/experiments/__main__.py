"""``python -m validation.experiments``."""

import sys

from validation.experiments.cli import main

if __name__ == "__main__":
    sys.exit(main())
