"""``python -m validation.train``."""

import sys

from validation.train.cli import main

if __name__ == "__main__":
    sys.exit(main())
