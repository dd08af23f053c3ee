"""`python -m scorefield` is `scorefield`."""

import sys

from scorefield.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
