"""``python -m validation.compare``."""

import sys

from validation.compare.cli import main

if __name__ == "__main__":
    sys.exit(main())
