"""`python -m bench.postgres`: the same as `python -m bench postgres`."""

from __future__ import annotations

import sys

from bench.__main__ import main

if __name__ == "__main__":
    sys.argv.insert(1, "postgres")
    main()
