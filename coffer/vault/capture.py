"""What a source hands to the vault: the protocol between the two rooms.

A source walks what it protects and pushes entries into a sink. The vault hashes, compresses, seals and packs
behind the sink. Neither knows how the other works.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PAGE_SIZE = 8192
"""Bytes of a PostgreSQL page, the unit of an overlay."""

Buffer = bytes | bytearray | memoryview
Fact = str | int | float | bool | bytes | None | list["Fact"] | dict[str, "Fact"]
"""What a source may remember beside its files; opened by the index key, so no content belongs here."""


class Kind(StrEnum):
    """What a point was compared with; never how a restore must walk."""

    FULL = "full"
    INCREMENTAL = "incremental"
    DIFFERENTIAL = "differential"


class EntryType(StrEnum):
    """What stands at a path."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


class Split(StrEnum):
    """Where a file's content is cut into chunks."""

    CONTENT = "content"
    """Where the content says so: an insertion moves only the cuts beside it."""
    FIXED = "fixed"
    """At every whole MiB of the file: for files that are changed in place, such as a database's relations."""


@dataclass(frozen=True)
class Hole:
    """Zeros in a file, handed over among its blocks without the bytes."""

    length: int


class Entry(msgspec.Struct, frozen=True):
    """One name in a source's tree.

    Attributes:
        path: Relative, `/`-separated, any bytes but NUL; never absolute, never with `..`.
        type: What it is.
        mode: Permission bits.
        uid: Numeric owner.
        gid: Numeric group.
        mtime_ns: Modification time, nanoseconds since the epoch.
        target: Where a symbolic link points.
        link: 0, or a number that all names of one file share (hard links); stable from point to point.
        xattrs: Extended attributes, sorted by name; ACLs and capabilities are among them.
    """

    path: bytes
    type: EntryType = EntryType.FILE
    mode: int = 0o600
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    target: bytes = b""
    link: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


class StoredEntry(Entry, frozen=True):
    """An entry as an earlier point knows it.

    Attributes:
        size: Bytes of content.
        ctime_ns: Change time as the earlier capture saw it; 0 where it did not look.
    """

    size: int = 0
    ctime_ns: int = 0


class Parent(Protocol):
    """The same source in an earlier point, as a writer may see it: names and facts, no content."""

    @property
    def facts(self) -> Mapping[str, Fact]:
        """Facts which that capture finished with."""
        ...

    def entry(self, path: bytes) -> StoredEntry | None:
        """Return what stood at a path, or None."""
        ...

    def size_of(self, path: bytes) -> int | None:
        """Return the size of a file, or None if no file stood there."""
        ...

    @property
    def is_worn(self) -> bool:
        """Whether a restore would read far more than it gives back: who cannot give worn pages does a full then."""
        ...

    def worn_pages(self, path: bytes) -> NDArray[np.uint32]:
        """Return those pages of a file that shall be read and given again, ascending.

        What holds them is used to so small a part that a restore would read too much in vain.
        """
        ...


class SourceSink(Protocol):
    """Takes one source's tree. Entries may come in any order; a path comes once.

    But a file may be given again directly after itself, if it changed while it was read: then the later one counts.
    """

    def in_order(self) -> None:
        """Promise, before the first entry, that paths will ascend: then the tree is written as it grows.

        From then on the parent, too, is asked for ascending paths only, and memory does not grow with their number.
        """
        ...

    def add(self, entry: Entry, *, ctime_ns: int = 0) -> None:
        """Add a directory or a symbolic link."""
        ...

    def add_file(
        self, entry: Entry, blocks: Iterable[Buffer | Hole], *, ctime_ns: int = 0, split: Split = Split.CONTENT
    ) -> None:
        """Add a file with all its content, in blocks of any size; holes of a sparse file as `Hole`."""
        ...

    def add_parts(self, entry: Entry, size: int, read: Callable[[int, int], bytes]) -> None:
        """Add a large file, cut at every whole MiB, whose content is read in the vault's own threads.

        Args:
            entry: The file.
            size: Bytes of content.
            read: Returns the content at an offset, exactly as many bytes as asked for. It is called from several
                threads, in any order, also after this returned: until `wait_read` does.
        """
        ...

    def wait_read(self) -> None:
        """Wait until the parts of all files that were added are read."""
        ...

    def add_link(self, entry: Entry, *, ctime_ns: int = 0) -> None:
        """Add another name of a file that was added with the same `link`."""
        ...

    def add_unchanged(self, entry: Entry, *, ctime_ns: int = 0) -> None:
        """Add a file whose content is what the parent has at the same path."""
        ...

    def add_same(self, path: bytes, mode: int, uid: int, gid: int, mtime_ns: int, ctime_ns: int, size: int) -> bool:
        """Add a file with one name if the parent has it with all of this, and say whether it had; cheaper than asking.

        Args:
            path: Where it stands.
            mode: Permission bits.
            uid: Numeric owner.
            gid: Numeric group.
            mtime_ns: Modification time.
            ctime_ns: Change time; not 0.
            size: Bytes of content.
        """
        ...

    def known_runs(self) -> Collection[bytes]:
        """Return hashes of runs of names that may be added without telling them; see `vault.looks.hash_of`."""
        ...

    def add_run(self, run: bytes, names: int, size: int, last: bytes) -> None:
        """Add a run of names, all of them as the parent has them.

        Args:
            run: Its hash, one of `known_runs`.
            names: How many.
            size: Bytes of content in them.
            last: The last of them.
        """
        ...

    def add_as_before(self, path: bytes) -> bool:
        """Add a file just as the parent has it, its times too; False if that must not be done.

        For files whose content is known to be the same and whose times mean nothing: no part of the tree changes then.
        """
        ...

    def add_changes(self, entry: Entry, size: int, changes: Iterable[tuple[NDArray[np.uint32], Buffer]]) -> None:
        """Do as `add_pages` does, with the pages and their content in portions, ascending."""
        ...

    def add_pages(self, entry: Entry, size: int, pages: NDArray[np.uint32], content: Iterable[Buffer]) -> None:
        """Add a file that equals the parent's at the same path but for some pages.

        Args:
            entry: The file.
            size: Its new size in bytes; beyond the parent's size only given pages count, the rest is zeros.
            pages: Ascending page numbers that changed.
            content: Their bytes, in that order, in blocks of any size.
        """
        ...


class Source(Protocol):
    """Something a recovery point reads."""

    @property
    def name(self) -> str:
        """Name inside the point: `postgres`, `files`."""
        ...

    @property
    def kind(self) -> str:
        """Kind of source: `postgres`, `files`."""
        ...

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        """Push everything into the sink; return the facts to keep.

        The facts may hold `"kind"`: what was really done (`full` where no usable parent was given); and `"damage"`: in
        words, what was damaged at the source already. The point is committed all the same, and marked.
        """
        ...
