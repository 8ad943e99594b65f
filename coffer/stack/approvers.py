"""The person who approves on this machine: a key pair made at first start, the public half where environments look."""

from __future__ import annotations

from pathlib import Path

from coffer.keys import approver_key
from coffer.stack import files

APPROVER = "ada"


def ensure_approver(folder: Path) -> None:
    """Make ada's key (0600) and its public half beside it, unless they are there."""
    private, public = folder / APPROVER, folder / f"{APPROVER}.pub"
    if not public.exists():
        private.unlink(missing_ok=True)
        files.write(public, approver_key.create(private) + "\n")
