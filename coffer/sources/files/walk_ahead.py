"""Walks a large folder in a process of its own, so that looking at names and reading files keep two cores busy."""

from __future__ import annotations

import json
import marshal
import os
import sys
from collections.abc import Callable, Collection, Iterator
from typing import IO, NamedTuple

from coffer import processes
from coffer.errors import OutsideSystemError
from coffer.sources.walking import program, telling
from coffer.sources.walking.records import Record
from coffer.sources.walking.telling import Message, Same
from coffer.vault import looks

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


def walk(
    root: bytes, note: Callable[[bytes], object], *, known: Collection[bytes] = (), read: bool = False
) -> Iterator[list[Record] | Same]:
    """Yield records in order of path, and runs that are as they are known to be.

    A folder of many names is walked ahead of the caller.

    Args:
        root: The folder.
        note: Takes the path of what vanished meanwhile.
        known: Hashes of runs whose names need not be told.
        read: Read small files, too, as far as that can be done ahead.

    Raises:
        OSError: The file system failed, or a folder may not be read.
        OutsideSystemError: The other process ended early.
    """
    last, number = b"", 0
    if len(known) * looks.CUT_ONE_IN < _ALONE:
        alone = telling.messages(root, b"", known, read)
        for message in alone:
            yield from (said := _said(message, note))
            for each in said:
                last = each[-1][0] if isinstance(each, list) else each[-1]
                number += len(each) if isinstance(each, list) else each[1]
            if number >= _ALONE:
                alone.close()
                break
        else:
            return
    asked = {"root": root.hex(), "after": last.hex(), "known": [each.hex() for each in known], "read": read}
    argv = [sys.executable, "-I", "-S", program.__file__]
    with processes.reading(argv, json.dumps(asked).encode()) as stream:
        while (message := _next(stream))[0] != telling.END:
            yield from _said(message, note)


def _said(message: Message, note: Callable[[bytes], object]) -> list[list[Record] | Same]:
    kind, what = message
    if kind == telling.GONE:
        note(what)
    elif kind == telling.FAILED:
        raise OSError(*what)
    elif what:
        return [what]
    return []


def _next(stream: IO[bytes]) -> Message:
    length = int.from_bytes(stream.read(program.LENGTH), "big")
    said = stream.read(length)
    if not length or len(said) < length:
        raise OutsideSystemError("The process that walks a folder ended early")
    message: Message = marshal.loads(said)  # noqa: S302 - our own program wrote it
    return message
