"""Reads a folder into a point."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from coffer.errors import CofferError, NotAllowed, NotThere, OutsideSystemError
from coffer.sources.files.attributes import entry_of, is_same, is_unchanged, xattrs_of
from coffer.sources.files.links import HardLinks
from coffer.sources.files.reading import blocks, open_file, read_whole
from coffer.sources.files.showing import show
from coffer.sources.files.walk import Record
from coffer.sources.files.walk_ahead import AnyStatus, Status, walk
from coffer.vault.capture import EntryType, Fact, Kind, Parent, SourceSink

_MOST_NOTES = 100
_SMALL = 128 << 10
_ATTEMPTS = 3
_AHEAD = 8192
"""Names looked at before the first of them is pushed: as many as a part of the tree mostly has at most."""
_TICK_NS = 50_000_000
"""A file changed so shortly before it is looked at may change again without its times telling."""
_OTHER = (errno.ELOOP, errno.ENXIO, errno.ENOTDIR, errno.EISDIR)


class FilesSource:
    """Reads a folder.

    Args:
        name: Name inside the point.
        root: The folder; a link to it is followed, links inside are kept as links.

    Attributes:
        notes: What is worth a remark about the last capture: what vanished, changed or was left out.
        noted: How many remarks there were; only the first are kept.
    """

    kind = "files"
    reads_again = True

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self.notes: list[str] = []
        self.noted = 0
        self._bytes_root = os.fsencode(root)
        self._links = HardLinks()
        self._counts = {"read": 0, "unchanged": 0, "gone": 0}

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        """Push the tree; a file is unchanged if its size and all its times are what the parent saw.

        Raises:
            NotThere: The folder does not exist.
            NotAllowed: A part of it may not be read: a point that lacks it would lie.
            OutsideSystemError: The file system failed.
        """
        if not self.root.is_dir():
            raise NotThere("The folder to back up is not there", detail=str(self.root))
        self.notes, self.noted = [], 0
        self._links = HardLinks()
        self._counts = {"read": 0, "unchanged": 0, "gone": 0}
        usable = parent if kind is not Kind.FULL else None
        sink.in_order()
        for path, *status in self._changed(sink, usable):
            self._push(sink, path, Status._make(status), usable)
        done = Kind.FULL if usable is None else kind
        notes: list[Fact] = list(self.notes)
        return {"kind": done.value, "root": str(self.root), **self._counts, "notes": notes, "noted": self.noted}

    def _changed(self, sink: SourceSink, parent: Parent | None) -> Iterator[Record]:
        """Yield what may have changed; whole parts of the tree that have not are passed on at once."""
        records: list[Record] = []
        at = 0
        batches = self._walk()
        while True:
            while len(records) - at < (_AHEAD if parent else 1) and (more := next(batches, None)) is not None:
                records = records[at:] + more
                at = 0
            if at == len(records):
                return
            if parent is not None and (same := sink.add_same_part(records, at)):
                self._counts["unchanged"] += sum([stat.S_ISREG(each[1]) for each in records[at : at + same]])
                at += same
                continue
            yield records[at]
            at += 1

    def _walk(self) -> Iterator[list[Record]]:
        try:
            yield from walk(self._bytes_root, self._note_vanished)
        except OSError as error:
            full = error.filename or self._bytes_root
            raise self._unreadable("A folder", full[len(self._bytes_root) + 1 :], error) from error

    def _push(self, sink: SourceSink, path: bytes, status: AnyStatus, parent: Parent | None) -> None:
        mode = status.st_mode
        try:
            if stat.S_ISREG(mode):
                self._push_file(sink, path, status, parent)
            elif stat.S_ISLNK(mode):
                full = self._full(path)
                target = os.readlink(full)  # noqa: PTH115 - names are bytes
                entry = entry_of(path, status, EntryType.SYMLINK, target=target, xattrs=xattrs_of(full))
                sink.add(entry, ctime_ns=_believable(status))
            elif stat.S_ISDIR(mode):
                entry = entry_of(path, status, EntryType.DIRECTORY, xattrs=xattrs_of(self._full(path)))
                sink.add(entry, ctime_ns=_believable(status))
            else:
                self._note(f"{show(path)}: neither file, folder nor link; left out")
        except OSError as error:
            self._gone(path, error)
            self._links.forget(status)

    def _push_file(self, sink: SourceSink, path: bytes, status: AnyStatus, parent: Parent | None) -> None:
        if parent is not None and status.st_nlink == 1 and _add_same(sink, path, status):
            self._counts["unchanged"] += 1
            return
        link, named_before = self._links.number(path, status) if status.st_nlink > 1 else (0, False)
        before = parent.entry(path) if parent is not None else None
        if before is not None and is_unchanged(before, status):
            sink.add_unchanged(entry_of(path, status, link=link, xattrs=before.xattrs), ctime_ns=status.st_ctime_ns)
            self._counts["unchanged"] += 1
            return
        descriptor = open_file(self._full(path))
        try:
            if named_before:
                entry = entry_of(path, status, link=link, xattrs=xattrs_of(descriptor))
                sink.add_link(entry, ctime_ns=_believable(status))
            elif status.st_size <= _SMALL:
                self._push_small(sink, path, status, link, descriptor)
            else:
                self._push_large(sink, path, link, descriptor)
            self._counts["read"] += 1
        finally:
            os.close(descriptor)

    def _push_small(self, sink: SourceSink, path: bytes, status: AnyStatus, link: int, descriptor: int) -> None:
        for _ in range(_ATTEMPTS):
            data = read_whole(descriptor, status.st_size)
            xattrs = xattrs_of(descriptor)
            now = os.fstat(descriptor)
            if is_same(status, now):
                break
            status = now
            _check_regular(status)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            self._note(f"{show(path)}: changed while it was read")
        sink.add_file(entry_of(path, status, link=link, xattrs=xattrs), [data], ctime_ns=_believable(status))

    def _push_large(self, sink: SourceSink, path: bytes, link: int, descriptor: int) -> None:
        for _ in range(_ATTEMPTS):
            status = os.fstat(descriptor)
            _check_regular(status)
            entry = entry_of(path, status, link=link, xattrs=xattrs_of(descriptor))
            sink.add_file(entry, blocks(descriptor, status), ctime_ns=_believable(status))
            if is_same(status, os.fstat(descriptor)):
                return
        self._note(f"{show(path)}: changed while it was read")

    def _gone(self, path: bytes, error: OSError) -> None:
        if error.errno in (errno.ENOENT, errno.ESTALE):
            self._note_vanished(path)
        elif error.errno in _OTHER:
            self._note(f"{show(path)}: became something else while it was looked at; left out")
        else:
            raise self._unreadable("A file", path, error) from error
        self._counts["gone"] += 1

    def _unreadable(self, what: str, path: bytes, error: OSError) -> CofferError:
        if error.errno in (errno.EACCES, errno.EPERM):
            return NotAllowed(f"{what} may not be read", detail=show(path), resolution="Run as its owner or as root")
        return OutsideSystemError(f"{what} cannot be read", detail=f"{show(path)}: {error.strerror}")

    def _note_vanished(self, path: bytes) -> None:
        self._note(f"{show(path)}: vanished while it was looked at")

    def _note(self, text: str) -> None:
        self.noted += 1
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(text)

    def _full(self, path: bytes) -> bytes:
        return self._bytes_root + b"/" + path


def _add_same(sink: SourceSink, path: bytes, status: AnyStatus) -> bool:
    return sink.add_same(
        path,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_size,
    )


def _check_regular(status: AnyStatus) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.ENXIO, "no longer a file")


def _believable(status: AnyStatus) -> int:
    """Return the ctime to compare with next time, or 0 where the file may change within the same tick."""
    return 0 if time.time_ns() - status.st_ctime_ns < _TICK_NS else status.st_ctime_ns
