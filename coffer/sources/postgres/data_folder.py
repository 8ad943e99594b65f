"""What of a running cluster's data folder belongs into a backup: what upstream's own base backup takes.

Source of the rules: src/backend/backup/basebackup.c (PostgreSQL 15 to 18).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from coffer.errors import NotAllowed, OutsideSystemError

CONTROL_FILE = b"global/pg_control"
_EMPTIED = frozenset(
    (b"pg_stat_tmp", b"pg_replslot", b"pg_dynshmem", b"pg_notify", b"pg_serial", b"pg_snapshots", b"pg_subtrans")
)
_LEFT_OUT = frozenset(
    (
        b"postgresql.auto.conf.tmp", b"current_logfiles.tmp", b"backup_label", b"tablespace_map", b"backup_manifest",
        b"postmaster.pid", b"postmaster.opts", b".DS_Store",
    )
)  # fmt: skip
_LEFT_OUT_PREFIXES = (b"pgsql_tmp", b"pg_internal.init")
_DATABASE_FOLDER = re.compile(rb"base/\d+|pg_tblspc/\d+/[^/]+/\d+")
_TEMPORARY = re.compile(rb"t\d+_\d+(?:_(?:fsm|vm|init))?(?:\.\d+)?")
_RELATION = re.compile(rb"(\d+)(?:_(fsm|vm|init))?(?:\.\d+)?")


class Found(NamedTuple):
    """A file or folder to be taken.

    Attributes:
        path: Relative to the data folder.
        is_file: It is a file.
        mode: Permission bits.
        uid: Numeric owner.
        gid: Numeric group.
        size: Bytes.
        mtime_ns: Modification time, nanoseconds.
    """

    path: bytes
    is_file: bool
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int


class DataFolder:
    """Looks through a data folder.

    Args:
        root: The folder.
        major: PostgreSQL's major version: a tablespace may hold another one's folder, too.

    Attributes:
        notes: What was left out although upstream has no rule for it.
    """

    def __init__(self, root: Path, major: int) -> None:
        self.root = os.fsencode(root)
        self._version = f"PG_{major}_".encode()
        self.notes: list[str] = []

    def full(self, path: bytes) -> bytes:
        """Return where a path really stands."""
        return self.root + b"/" + path

    def scan(self) -> list[Found]:
        """Return everything that belongs into a backup but the control file, sorted by path.

        Raises:
            NotAllowed: A part of it may not be read.
            OutsideSystemError: The file system failed.
        """
        try:
            found = list(self._folder(b""))
        except PermissionError as error:
            raise NotAllowed("the data folder may not be read", detail=str(error)) from error
        except OSError as error:
            raise OutsideSystemError("the data folder cannot be read", detail=str(error)) from error
        found.sort()
        return found

    def _folder(self, folder: bytes) -> Iterator[Found]:
        try:
            with os.scandir(self.full(folder)) as listing:
                entries = list(listing)
        except FileNotFoundError:  # a database that was dropped meanwhile: replay drops it again
            return
        prefix = folder + b"/" if folder else b""
        skipped = _unlogged(entries) if _DATABASE_FOLDER.fullmatch(folder) else None
        for entry in entries:
            name = entry.name
            if name in _LEFT_OUT or name.startswith(_LEFT_OUT_PREFIXES) or prefix + name == CONTROL_FILE:
                continue
            if skipped is not None and (name in skipped or _TEMPORARY.fullmatch(name)):
                continue
            yield from self._entry(prefix + name, entry)

    def _entry(self, path: bytes, entry: os.DirEntry[bytes]) -> Iterator[Found]:
        try:
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode) and path in (b"pg_wal", *_EMPTIED):
                status = entry.stat()  # the folder that stands elsewhere; here it comes back as one
        except FileNotFoundError:
            return
        if stat.S_ISREG(status.st_mode):
            yield _found(path, status)
        elif stat.S_ISDIR(status.st_mode):
            yield _found(path, status)
            yield from self._inside(path, status)
        elif not (stat.S_ISLNK(status.st_mode) and path.startswith(b"pg_tblspc/")):
            self.notes.append(f"{os.fsdecode(path)}: neither file nor folder; left out, as PostgreSQL does")

    def _inside(self, path: bytes, status: os.stat_result) -> Iterator[Found]:
        if path == b"pg_wal":
            for name in (b"archive_status", b"summaries"):
                if os.path.isdir(self.full(path + b"/" + name)):  # noqa: PTH112 - names are bytes
                    yield _found(path + b"/" + name, status)
        elif path == b"pg_tblspc":
            yield from self._folder(path)
            yield from self._tablespaces()
        elif path not in _EMPTIED:
            yield from self._folder(path)

    def _tablespaces(self) -> Iterator[Found]:
        for name in tablespaces(self.root):
            for found in self._folder(b"pg_tblspc/" + name):
                if found.path.split(b"/")[2].startswith(self._version):
                    yield found


def tablespaces(root: bytes) -> dict[bytes, bytes]:
    """Return the tablespaces that stand outside: OID and place."""
    folder = root + b"/pg_tblspc"
    names = [name for name in os.listdir(folder) if os.path.islink(folder + b"/" + name)]  # noqa: PTH114, PTH208
    return {name: os.readlink(folder + b"/" + name) for name in sorted(names)}  # noqa: PTH115


def _unlogged(entries: list[os.DirEntry[bytes]]) -> frozenset[bytes]:
    """Return the files of unlogged relations but for their init forks: a restart empties such relations anyway."""
    parsed = [(entry.name, match) for entry in entries if (match := _RELATION.fullmatch(entry.name))]
    unlogged = {match[1] for _, match in parsed if match[2] == b"init"}
    return frozenset(name for name, match in parsed if match[1] in unlogged and match[2] != b"init")


def _found(path: bytes, status: os.stat_result) -> Found:
    is_file = stat.S_ISREG(status.st_mode)
    return Found(
        path,
        is_file,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_size if is_file else 0,
        status.st_mtime_ns,
    )
