"""A folder as a source: every name in it as it stands, links as links, what changed read again."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from coffer.errors import NotAllowed, NotThere
from coffer.vault.capture import Entry, EntryType, Fact, Kind, Parent, SourceSink, StoredEntry

_BLOCK = 1 << 20
_MOST_NOTES = 100
_TICK_NS = 50_000_000
"""A file changed so shortly before it is looked at may change again without its times telling."""


class FilesSource:
    """Reads a folder.

    Args:
        name: Name inside the point.
        root: The folder; a link to it is followed, links inside are kept as links.
    """

    kind = "files"

    reads_again = True

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self.notes: list[str] = []

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        """Push the tree; a file is unchanged if its size and all its times are what the parent saw.

        Raises:
            NotThere: The folder does not exist.
            NotAllowed: A part of it may not be read: a point that lacks it would lie.
        """
        if not self.root.is_dir():
            raise NotThere("The folder to back up is not there", detail=str(self.root))
        self.notes = []
        counts = {"read": 0, "unchanged": 0, "gone": 0}
        usable = parent if kind is not Kind.FULL else None
        for path, status in self._walk(b""):
            counts[self._push(sink, path, status, usable)] += 1
        notes: list[Fact] = list(self.notes[:_MOST_NOTES])
        done = Kind.FULL if usable is None else kind
        return {"kind": done.value, "root": str(self.root), **counts, "notes": notes, "noted": len(self.notes)}

    def _push(self, sink: SourceSink, path: bytes, status: os.stat_result, parent: Parent | None) -> str:
        try:
            if stat.S_ISLNK(status.st_mode):
                target = os.readlink(self._full(path))  # noqa: PTH115 - names are bytes
                sink.add(_entry(path, status, EntryType.SYMLINK, target))
            elif stat.S_ISDIR(status.st_mode):
                sink.add(_entry(path, status, EntryType.DIRECTORY))
            elif stat.S_ISREG(status.st_mode):
                return self._push_file(sink, path, status, parent)
            else:
                self.notes.append(f"{_show(path)}: neither file, folder nor link; left out")
        except FileNotFoundError:
            self.notes.append(f"{_show(path)}: vanished while it was looked at")
            return "gone"
        except PermissionError as error:
            raise NotAllowed(
                "A file may not be read", detail=_show(path), resolution="Run as its owner or as root"
            ) from error
        return "read"

    def _push_file(self, sink: SourceSink, path: bytes, status: os.stat_result, parent: Parent | None) -> str:
        before = parent.entry(path) if parent else None
        if before is not None and _is_unchanged(before, status):
            sink.add_unchanged(_entry(path, status, EntryType.FILE), ctime_ns=status.st_ctime_ns)
            return "unchanged"
        descriptor = os.open(self._full(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", buffering=0):
            now = os.fstat(descriptor)
            if not stat.S_ISREG(now.st_mode):
                self.notes.append(f"{_show(path)}: became something else while it was looked at; left out")
                return "gone"
            kept = 0 if time.time_ns() - now.st_ctime_ns < _TICK_NS else now.st_ctime_ns
            sink.add_file(_entry(path, now, EntryType.FILE), _blocks(descriptor), ctime_ns=kept)
            if _times(os.fstat(descriptor)) != _times(now):
                self.notes.append(f"{_show(path)}: changed while it was read")
        return "read"

    def _walk(self, folder: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
        """Yield what is below a folder, in order of name, folders before what they hold."""
        try:
            with os.scandir(self._full(folder)) as listing:
                found = sorted(listing, key=lambda each: each.name)
        except FileNotFoundError:
            self.notes.append(f"{_show(folder)}: vanished while it was looked at")
            return
        except PermissionError as error:
            raise NotAllowed(
                "A folder may not be read", detail=_show(folder), resolution="Run as its owner or as root"
            ) from error
        for each in found:
            path = folder + b"/" + each.name if folder else each.name
            try:
                status = each.stat(follow_symlinks=False)
            except FileNotFoundError:
                self.notes.append(f"{_show(path)}: vanished while it was looked at")
                continue
            yield path, status
            if stat.S_ISDIR(status.st_mode):
                yield from self._walk(path)

    def _full(self, path: bytes) -> bytes:
        return os.path.join(os.fsencode(self.root), path) if path else os.fsencode(self.root)  # noqa: PTH118


def _blocks(descriptor: int) -> Iterator[bytes]:
    while block := os.read(descriptor, _BLOCK):
        yield block


def _entry(path: bytes, status: os.stat_result, kind: EntryType, target: bytes = b"") -> Entry:
    return Entry(path, kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns, target)


def _is_unchanged(before: StoredEntry, status: os.stat_result) -> bool:
    return (
        before.type is EntryType.FILE
        and before.ctime_ns != 0
        and (before.size, before.mtime_ns, before.ctime_ns) == _times(status)
        and (before.mode, before.uid, before.gid) == (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    )


def _times(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _show(path: bytes) -> str:
    return ascii(path)[2:-1] or "."
