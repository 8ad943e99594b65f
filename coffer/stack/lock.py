"""One `coffer stack` at a time on one state folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coffer.errors import HeldByAnother


@contextmanager
def alone(run_directory: Path) -> Iterator[None]:
    """Hold the stack's lock: two `up` at once would start everything twice.

    Raises:
        HeldByAnother: Another `up` or `down` is under way.
    """
    with (run_directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HeldByAnother(
                "another `coffer stack` is at work on this stack", resolution="Wait until it is done"
            ) from error
        yield
