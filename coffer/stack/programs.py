"""Programs that lie beside our own Python."""

from __future__ import annotations

import sys
from pathlib import Path


def beside_python(name: str) -> str:
    """Return the path of a program of this Python environment, which need not be on PATH."""
    return str(Path(sys.executable).parent / name)
