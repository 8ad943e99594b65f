"""Paths as people may see them."""

from __future__ import annotations


def show(path: bytes) -> str:
    """Return a path as printable text, whatever bytes it holds."""
    return ascii(path.rstrip(b"/"))[2:-1] or "."
