"""A walk as messages: batches of records, runs that are as an earlier point has them, what vanished."""

from __future__ import annotations

import stat
from collections.abc import Collection, Generator
from typing import Any

from coffer.sources.walking import records
from coffer.sources.walking.records import Record
from coffer.sources.walking.walk import walk
from coffer.vault import looks

_BATCH = 256
_MOST_CONTENT = 1 << 20
_LONGEST_RUN = 16384
Same = tuple[bytes, int, int, int, bytes]
"""A run that is known: its hash, how many names, how many of them files, their bytes, the last name."""
Failure = tuple[int | None, str | None, bytes]
Message = tuple[str, Any]
"""What kind it is, and records, `Same`, a path or a `Failure`."""
RECORDS, SAME, GONE, FAILED, END = "records", "same", "gone", "failed", "end"


def messages(root: bytes, after: bytes, known: Collection[bytes], read: bool) -> Generator[Message, None, None]:
    """Yield what is below a folder, ascending by path; the end is no message.

    Args:
        root: The folder.
        after: Leave out paths up to this one; where runs are known, the last of a run.
        known: Hashes of runs whose names need not be told.
        read: Small files are to be read, too.
    """
    gone: list[bytes] = []
    batch: list[Record] = []
    size = 0
    is_known = frozenset(known)
    try:
        for path, status, content in walk(root, gone.append, after, read=read):
            while gone:
                yield GONE, gone.pop()
            each = records.record(path, status, content)
            if not records.is_kept(status.st_mode):
                yield RECORDS, [each]  # no point holds it, so no run does
                continue
            batch.append(each)
            size += len(content[2]) if content else 0
            if is_known:
                if len(batch) >= _LONGEST_RUN or looks.ends_run(path):
                    yield _run(batch, is_known)
                    batch = []
            elif len(batch) == _BATCH or size >= _MOST_CONTENT:
                yield RECORDS, batch
                batch, size = [], 0
    except OSError as met:
        yield RECORDS, batch
        yield FAILED, (met.errno, met.strerror, _place(met))
        return
    while gone:
        yield GONE, gone.pop()
    if batch:
        yield _run(batch, is_known) if is_known else (RECORDS, batch)


def _run(batch: list[Record], known: frozenset[bytes]) -> Message:
    if all(map(records.tells_enough, batch)):
        found = looks.hash_of(batch)
        if found in known:
            files = sum([stat.S_ISREG(each[1]) for each in batch])
            return SAME, (found, len(batch), files, sum([each[4] for each in batch]), batch[-1][0])
    return RECORDS, batch


def _place(error: OSError) -> bytes:
    name = error.filename or b""
    return name if isinstance(name, bytes) else name.encode(errors="surrogateescape")
