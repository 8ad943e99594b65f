"""What Trivy found in layers it has seen: most of an image is the same as in the release before."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coffer.errors import OutsideSystemError


@contextmanager
def layer_cache(name: str, otherwise: Path) -> Iterator[Path]:
    """Yield a cache folder that is kept between scans, or another while somebody else holds it.

    Trivy's cache is one database that one process opens at a time; a second one would fail after a second. An entry's
    key holds the layer's digest and the version of every check, so what was found then is what would be found now.

    Args:
        name: What it is for; different checks keep different folders.
        otherwise: The folder to use when the kept one is held.

    Raises:
        OutsideSystemError: The cache folder cannot be made.
    """
    kept = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coffer" / "trivy" / name
    try:
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (kept / "in-use").open("w")
    except OSError as error:
        raise OutsideSystemError("the scanner's cache cannot be made", detail=f"{kept}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield otherwise
        else:
            yield kept
