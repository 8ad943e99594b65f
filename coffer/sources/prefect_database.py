"""Prefect's own database: its runs, blocks and schedules. A disaster takes the orchestrator too."""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from coffer.errors import IntegrityError, NotThere, OutsideSystemError, UsageError
from coffer.vault.capture import Entry, Fact, Kind, Parent, SourceSink

DATABASE = b"prefect.db"
_BLOCK = 1 << 20
_PATIENCE_SECONDS = 60
_DRIVER = re.compile(r"^(postgres(?:ql)?)\+[a-z0-9]+://")


def is_sqlite(url: str) -> bool:
    """Tell whether an address is one of SQLite: a path, or `sqlite…:///PATH` as SQLAlchemy writes it."""
    if "://" not in url:
        return "=" not in url  # else it is libpq's `host=… dbname=…`
    return url.partition(":")[0].partition("+")[0] == "sqlite"


def libpq(url: str) -> str:
    """Return an address of PostgreSQL as libpq reads it: SQLAlchemy puts its driver into the scheme."""
    return _DRIVER.sub(r"\1://", url)


def sqlite_path(url: str) -> Path:
    """Return the file of `sqlite+aiosqlite:////PATH`, or a path as it is.

    Raises:
        UsageError: It names no file.
    """
    if "://" not in url:
        return Path(url)
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        path = ""
    if len(path) < 2 or path == "/:memory:":
        raise UsageError("Prefect's database is in no file", detail=url.partition("?")[0])
    return Path(path[1:])


class SqliteSource:
    """An SQLite database, copied through SQLite's backup interface: consistent while others write.

    Args:
        name: Name inside the point.
        path: Its file.
        folder: Where the copy lies meanwhile; default: the usual place for temporary files.
    """

    kind = "prefect"

    def __init__(self, name: str, path: Path, *, folder: Path | None = None) -> None:
        self.name = name
        self._path = path
        self._folder = folder

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        """Copy the database, check the copy, and push it.

        Raises:
            NotThere: There is no such file.
            IntegrityError: It is damaged.
            OutsideSystemError: It stays locked, or the copy has no room.
        """
        if not self._path.is_file():
            raise NotThere("Prefect's database is not there", detail=str(self._path))
        with tempfile.TemporaryDirectory(prefix="coffer-prefect-", dir=self._folder) as scratch:
            copy = Path(scratch) / os.fsdecode(DATABASE)
            try:
                version, pages = _copy(self._path, copy)
            except sqlite3.DatabaseError as error:
                raise _told(error, self._path) from error
            mtime = self._path.stat().st_mtime_ns
            sink.add_file(Entry(DATABASE, mode=0o600, mtime_ns=mtime), _blocks(copy))
        done = kind if parent is not None else Kind.FULL
        return {"kind": done.value, "schema_version": version, "pages": pages, "engine": "sqlite"}


def _copy(path: Path, target: Path) -> tuple[str, int]:
    """Copy all pages in one step, so that no writer makes the copy begin again; return the schema's version."""
    source = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE_SECONDS)
    with closing(source), closing(sqlite3.connect(target)) as copy:
        source.backup(copy, pages=-1)
        [said] = copy.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise IntegrityError("Prefect's database is damaged", detail=f"{path}: {said}")
        [pages] = copy.execute("PRAGMA page_count").fetchone()
        known = copy.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        row = copy.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    return str(row[0]) if row else "", int(pages)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as opened:
        while block := opened.read(_BLOCK):
            yield block


def _told(error: sqlite3.DatabaseError, path: Path) -> OutsideSystemError | IntegrityError:
    detail = f"{path}: {error}"
    if isinstance(error, sqlite3.OperationalError):
        return OutsideSystemError("Prefect's database cannot be copied", detail=detail)
    return IntegrityError("Prefect's database is damaged", detail=detail)
