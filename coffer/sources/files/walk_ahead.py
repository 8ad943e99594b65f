"""Walks a large folder in a process of its own, so that looking at names and reading files keep two cores busy."""

from __future__ import annotations

import itertools
import marshal
import os
import sys
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

from coffer import processes
from coffer.errors import OutsideSystemError
from coffer.sources.files import walk as program

_ALONE = 2000
"""So many names are looked at before another process is worth its start."""


class Status(NamedTuple):
    """What `os.stat_result` says, as far as it matters here, under the same names."""

    st_mode: int
    st_uid: int
    st_gid: int
    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int
    st_nlink: int
    st_ino: int
    st_dev: int
    st_blocks: int


AnyStatus = Status | os.stat_result


def walk(root: bytes, note: Callable[[bytes], object]) -> Iterator[list[program.Record]]:
    """Yield, in batches, what `walk.walk` yields; a folder of many names is walked ahead of the caller.

    Raises:
        OSError: The file system failed, or a folder may not be read.
        OutsideSystemError: The other process ended early.
    """
    last, number = b"", 0
    for path, status in itertools.islice(program.walk(root, note), _ALONE):
        yield [program.record(path, status)]
        last, number = path, number + 1
    if number == _ALONE:
        yield from _ahead(root, note, last)


def _ahead(root: bytes, note: Callable[[bytes], object], after: bytes) -> Iterator[list[program.Record]]:
    argv: list[str | bytes] = [sys.executable, "-I", "-S", program.__file__, root, after.hex()]
    with processes.reading(argv) as stream:
        while (said := _next(stream)) is not None:
            if isinstance(said, list):
                yield said
            elif isinstance(said, bytes):
                note(said)
            else:
                raise OSError(*said)


def _next(stream: IO[bytes]) -> program.Said:
    length = int.from_bytes(stream.read(program.LENGTH), "big")
    said = stream.read(length)
    if not length or len(said) < length:
        raise OutsideSystemError("The process that walks a folder ended early")
    message: program.Said = marshal.loads(said)  # noqa: S302 - our own program wrote it
    return message
