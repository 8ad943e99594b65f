"""Damage on purpose: a drill that passes in spite of it proves nothing."""

from __future__ import annotations

import random
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path

from psycopg import sql

from coffer.errors import NotThere
from coffer.recovery.scratch import Scratch
from coffer.sources.postgres.wal import Piece, is_segment
from coffer.sources.postgres.wal_archive import WalReader
from coffer.vault.capture import PAGE_SIZE

_LARGEST_TABLE = (
    "SELECT n.nspname, c.relname, pg_relation_filepath(c.oid), pg_relation_size(c.oid) FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND pg_relation_size(c.oid) > 0"
    " ORDER BY 4 DESC, 2 LIMIT 1"
)


class Sabotage(StrEnum):
    """What can be damaged.

    Attributes:
        FLIPPED_PAGE: One bit of a page of the largest table.
        MISSING_SEGMENT: One segment of the log, in every store, with later ones there.
        WRONG_KEY: The key from escrow opens another vault.
        OLDER_REPLICA: Every store is as it was before the newest point.
        STALE_POINT: Nothing came into the vault for longer than was promised.
        TRUNCATED_PACK: Of one pack only the beginning is left, in every store.
        DROPPED_TABLE: One table of the database is gone.
        MISSING_FILE: One file is gone.
    """

    FLIPPED_PAGE = "flipped-page"
    MISSING_SEGMENT = "missing-segment"
    WRONG_KEY = "wrong-key"
    OLDER_REPLICA = "older-replica"
    STALE_POINT = "stale-point"
    TRUNCATED_PACK = "truncated-pack"
    DROPPED_TABLE = "dropped-table"
    MISSING_FILE = "missing-file"


class HoleInTheLog:
    """An archive without one segment.

    Args:
        archive: The whole one.
        cluster: Whose log.
        first: First segment that the restore needs.
        middle: Take one from the middle of what follows, where replay has begun; else the first.
    """

    def __init__(self, archive: WalReader, cluster: str, first: str, *, middle: bool) -> None:
        self._archive = archive
        following = sorted(name for name in archive.wal_names(cluster) if is_segment(name) and name >= first)
        self.hidden = following[len(following) // 2] if middle and len(following) > 2 else first

    def get_wal(self, cluster: str, segment: str, /) -> bytes:
        """Read a file, unless it is the hidden one."""
        if self._hides(segment):
            raise NotThere(f"WAL {segment} is not there")
        return self._archive.get_wal(cluster, segment)

    def wal_names(self, cluster: str, /, *, every_store: bool = False) -> Collection[str]:
        """Return all names but the hidden one."""
        return [name for name in self._archive.wal_names(cluster, every_store=every_store) if not self._hides(name)]

    def _hides(self, name: str) -> bool:
        piece = Piece.parse(name)
        return (piece.segment if piece else name) == self.hidden


def flip_page(scratch: Scratch, database: str, seed: int) -> str:
    """Flip one bit in a page of the largest table of the promoted cluster, as a bad disk would; return which.

    It is stopped in good order before, so that neither its cache nor a replay puts the page right again.

    Raises:
        NotThere: The database has no table with a page in it.
    """
    _, name, path, size = _largest_table(scratch, database)
    scratch.server.stop()
    block = random.Random(seed).randrange(size // PAGE_SIZE)  # noqa: S311 - which page is no secret
    _flip(scratch.data / path, block * PAGE_SIZE + PAGE_SIZE - 64)
    scratch.server.start()
    return f"block {block} of {name} ({path})"


def drop_table(scratch: Scratch, database: str) -> str:
    """Drop the largest table of the promoted cluster, and what depends on it; return which.

    Raises:
        NotThere: The database has no table with a row in it.
    """
    schema, name, _, _ = _largest_table(scratch, database)
    with scratch.server.connect(database) as connection:
        connection.execute(sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier(schema, name)))
    return f"{schema}.{name}"


def remove_file(folder: Path, seed: int) -> str:
    """Remove one of the restored files; return which.

    Raises:
        NotThere: There is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    if not found:
        raise NotThere("there is no file to remove", detail=str(folder.name))
    chosen = random.Random(seed).choice(found)  # noqa: S311 - which file is no secret
    chosen.unlink()
    return str(chosen.relative_to(folder))


def _largest_table(scratch: Scratch, database: str) -> tuple[str, str, str, int]:
    """Return schema, name, path and bytes."""
    with scratch.server.connect(database) as connection:
        row = connection.execute(_LARGEST_TABLE).fetchone()
    if row is None:
        raise NotThere("there is no page to damage", detail=database)
    return str(row[0]), str(row[1]), str(row[2]), int(row[3])


def _flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x10]))
