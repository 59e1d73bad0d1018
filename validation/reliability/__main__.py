"""``python -m validation.reliability EXPERIMENT...``."""

import sys

from validation.reliability.suite import main

if __name__ == "__main__":
    sys.exit(main())
