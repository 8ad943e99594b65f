"""How far a backup is: entries, bytes read and rate. What is to come is not known, so there is no bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from coffer.commands.options import Progress, human, say

_LINE_SECONDS = 10.0
_LOOK_SECONDS = 0.2


@contextmanager
def showing_backup(*, quiet: bool = False) -> Iterator[Progress | None]:
    """Show a backup's progress: on a terminal in place, elsewhere a line now and then, with `--json` not at all."""
    if quiet:
        yield None
    elif not sys.stderr.isatty():
        yield _Telling(say, _LINE_SECONDS)
    else:
        from rich.console import Console

        with Console(stderr=True).status("backing up") as status:
            yield _Telling(status.update, _LOOK_SECONDS)


class _Telling:
    """Tells at most every so many seconds: it is called for every entry."""

    def __init__(self, tell: Callable[[str], object], every: float) -> None:
        self._tell = tell
        self._every = every
        self._began = self._told = time.monotonic()

    def __call__(self, entries: int, read: int) -> None:
        """Take the state of a source."""
        now = time.monotonic()
        if now - self._told >= self._every:
            self._told = now
            rate = human(read / (now - self._began))
            self._tell(f"backing up: {entries} entries, {human(read)} read, {rate}/s")
