"""Reads a folder into a point."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from coffer.errors import CofferError, NotAllowed, NotThere, OutsideSystemError
from coffer.sources.files.attributes import entry_of, is_same, is_unchanged, xattrs_of
from coffer.sources.files.links import HardLinks
from coffer.sources.files.reading import blocks
from coffer.sources.files.showing import show
from coffer.sources.files.walk_ahead import AnyStatus, Status, walk
from coffer.sources.walking.contents import SMALL, Content, believable, open_file, read_whole
from coffer.sources.walking.records import Record
from coffer.sources.walking.telling import Same
from coffer.vault.capture import EntryType, Fact, Kind, Parent, SourceSink

_MOST_NOTES = 100
_ATTEMPTS = 3
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
        known = sink.known_runs() if usable else ()
        for said in self._walk(known, read=usable is None):
            if isinstance(said, tuple):
                run, names, files, size, last = said
                sink.add_run(run, names, size, last)
                self._counts["unchanged"] += files
            else:
                for path, *status, content in said:
                    self._push(sink, path, Status._make(status), usable, content)
        done = Kind.FULL if usable is None else kind
        notes: list[Fact] = list(self.notes)
        return {"kind": done.value, "root": str(self.root), **self._counts, "notes": notes, "noted": self.noted}

    def _walk(self, known: Collection[bytes], *, read: bool) -> Iterator[list[Record] | Same]:
        try:
            yield from walk(self._bytes_root, self._note_vanished, known=known, read=read)
        except OSError as error:
            full = error.filename or self._bytes_root
            raise self._unreadable("A folder", full[len(self._bytes_root) + 1 :], error) from error

    def _push(
        self, sink: SourceSink, path: bytes, status: AnyStatus, parent: Parent | None, content: Content | None
    ) -> None:
        mode = status.st_mode
        if content is not None:
            ctime_ns, xattrs, data = content
            sink.add_file(entry_of(path, status, xattrs=xattrs), [data], ctime_ns=ctime_ns)
            self._counts["read"] += 1
            return
        try:
            if stat.S_ISREG(mode):
                self._push_file(sink, path, status, parent)
            elif stat.S_ISLNK(mode):
                full = self._full(path)
                target = os.readlink(full)  # noqa: PTH115 - names are bytes
                entry = entry_of(path, status, EntryType.SYMLINK, target=target, xattrs=xattrs_of(full))
                sink.add(entry, ctime_ns=believable(status.st_ctime_ns))
            elif stat.S_ISDIR(mode):
                entry = entry_of(path, status, EntryType.DIRECTORY, xattrs=xattrs_of(self._full(path)))
                sink.add(entry, ctime_ns=believable(status.st_ctime_ns))
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
                sink.add_link(entry, ctime_ns=believable(status.st_ctime_ns))
            elif status.st_size <= SMALL:
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
        sink.add_file(entry_of(path, status, link=link, xattrs=xattrs), [data], ctime_ns=believable(status.st_ctime_ns))

    def _push_large(self, sink: SourceSink, path: bytes, link: int, descriptor: int) -> None:
        for _ in range(_ATTEMPTS):
            status = os.fstat(descriptor)
            _check_regular(status)
            entry = entry_of(path, status, link=link, xattrs=xattrs_of(descriptor))
            sink.add_file(entry, blocks(descriptor, status), ctime_ns=believable(status.st_ctime_ns))
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
