"""Small files written so that a reader sees the old or the new content, and nobody else a secret."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PRIVATE = 0o600
PUBLIC = 0o644


def write(path: Path, content: str | bytes, mode: int = PRIVATE) -> None:
    """Put a file in place by rename, with its mode set before the content.

    Args:
        path: Its folder must exist.
        content: Text is written as UTF-8.
        mode: Permission bits; private unless said otherwise.
    """
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
