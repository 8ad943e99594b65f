"""From the archives of a base backup to the entries of a point."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from coffer.errors import IntegrityError, OutsideSystemError
from coffer.sources.postgres.bad_pages import BadPage, known_bad
from coffer.sources.postgres.base_backup import MAIN_ARCHIVE
from coffer.sources.postgres.incremental_file import (
    PREFIX,
    IncrementalHeader,
    page_content,
    pages_to_store,
    read_header,
)
from coffer.sources.postgres.manifest import Received
from coffer.sources.postgres.tar_stream import ByteStream, Member, members
from coffer.vault.capture import PAGE_SIZE, Buffer, Entry, EntryType, Parent, SourceSink, Split

_INCREMENTAL_LINE = re.compile(rb"^INCREMENTAL FROM (?:LSN|TLI): .*\n", re.MULTILINE)


@dataclass
class BackupTree:
    """What one backup has pushed into the sink so far.

    Attributes:
        sink: Where it goes.
        parent: What an incremental one builds on.
        received: What arrived, by the path that the manifest names.
        backup_label: Verbatim.
        still_bad: Pages that were bad in the parent and did not come again.
    """

    sink: SourceSink
    parent: Parent | None
    received: dict[str, Received] = field(default_factory=dict)
    backup_label: bytes = b""
    still_bad: list[BadPage] = field(default_factory=list)

    def take(self, archive: str, blocks: Iterator[memoryview]) -> None:
        """Push one archive's members.

        Raises:
            IntegrityError: It is damaged, or builds on what the parent does not have.
        """
        # A tablespace's files come in an archive of their own; they stand where the server has a link to them.
        prefix = b"" if archive == MAIN_ARCHIVE else b"pg_tblspc/" + archive.removesuffix(".tar").encode() + b"/"
        for member, content in members(blocks):
            path = (prefix + member.path).removeprefix(b"./")
            if member.type == "0":
                self._file(path, member, content)
            elif path and path != b".":
                self._other(path, member)

    def _other(self, path: bytes, member: Member) -> None:
        if member.type == "5":
            self.sink.add(_entry(path, member, EntryType.DIRECTORY))
        elif member.type == "2":
            self.sink.add(_entry(path, member, EntryType.SYMLINK, target=member.target))
        else:
            raise OutsideSystemError("PostgreSQL sent an archive member of an unknown type", detail=repr(member))

    def _file(self, path: bytes, member: Member, content: Iterator[Buffer]) -> None:
        digest = hashlib.sha256()
        hashed = _hashed(content, digest)
        folder, _, name = path.rpartition(b"/")
        if name.startswith(PREFIX.encode()):
            real = b"/".join(filter(None, (folder, name.removeprefix(PREFIX.encode()))))
            self._incremental(_entry(real, member), member.size, hashed)
        elif path == b"backup_label":
            self.backup_label = b"".join(hashed)
            # The tree in the vault is complete, so the lines by which the server would refuse it go.
            self.sink.add_file(_entry(path, member), [_INCREMENTAL_LINE.sub(b"", self.backup_label)])
        else:
            self.sink.add_file(_entry(path, member), hashed, split=Split.FIXED)
        for _ in hashed:  # whatever the sink left
            pass
        self.received[path.decode(errors="surrogateescape")] = Received(member.size, digest.hexdigest())

    def _incremental(self, entry: Entry, size: int, content: Iterator[Buffer]) -> None:
        before = self.parent.entry(entry.path) if self.parent else None
        if before is None:
            raise IntegrityError("the parent point lacks a file", detail=entry.path.decode(errors="replace"))
        stream = ByteStream(content)
        header = read_header(stream, size)
        length = header.length * PAGE_SIZE
        self._keep_bad(entry.path, header)
        if not len(header.blocks) and header.truncation * PAGE_SIZE == before.size:
            self.sink.add_unchanged(entry)
            return
        pages = pages_to_store(header, -(-before.size // PAGE_SIZE))
        self.sink.add_pages(entry, length, pages.astype(np.uint32), page_content(header, pages, stream))

    def _keep_bad(self, path: bytes, header: IncrementalHeader) -> None:
        bad = known_bad(self.parent.facts).get(path) if self.parent else None
        if bad is not None:
            left = np.setdiff1d(bad[bad < header.truncation], header.blocks)
            self.still_bad += [BadPage(path, page) for page in left.tolist()]


def _hashed(content: Iterator[Buffer], digest: hashlib._Hash) -> Iterator[Buffer]:
    for block in content:
        digest.update(block)
        yield block


def _entry(path: bytes, member: Member, type: EntryType = EntryType.FILE, *, target: bytes = b"") -> Entry:
    return Entry(
        path=path,
        type=type,
        mode=member.mode,
        uid=member.uid,
        gid=member.gid,
        mtime_ns=member.mtime * 1_000_000_000,
        target=target,
    )
