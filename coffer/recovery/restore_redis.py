"""Brings Redis back: a folder on which redis-server starts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coffer.vault.capture import Fact
from coffer.vault.points import Point
from coffer.vault.reader import VaultReader
from coffer.vault.restoring import RestoreSummary

DUMP = "dump.rdb"
_APPEND_ONLY = "appendonlydir"
_SEVERAL_PARTS_SINCE = 7


@dataclass(frozen=True)
class RestoredRedis:
    """What a restore left.

    Attributes:
        data: The folder to give redis-server as `dir`.
        point: Where it came from.
        facts: What the capture remembered: version, replication id, offset, keys of each database.
        summary: Numbers of the copy.
    """

    data: Path
    point: Point
    facts: Mapping[str, Fact]
    summary: RestoreSummary


def restore_redis(reader: VaultReader, point: Point, destination: Path, *, source: str = "redis") -> RestoredRedis:
    """Restore a Redis; a server whose `dir` is the folder starts with every key and its expiry.

    A server that is told `appendonly yes` reads its append-only file and never the dump: so that stands there too.

    Args:
        reader: The vault.
        point: Which point.
        destination: A folder that is empty or does not exist.
        source: Name of the Redis inside the point.

    Raises:
        NotThere: The point holds no such source.
        UnsafeTarget: The folder is not empty.
        IntegrityError: Something is missing or not genuine.
    """
    facts = reader.facts(point, source)
    summary = reader.restore(point, source, destination)
    if not (destination / _APPEND_ONLY).exists():
        _add_append_only(destination, str(facts.get("version", "")))
    return RestoredRedis(destination, point, facts, summary)


def _add_append_only(data: Path, version: str) -> None:
    """Let the dump be the base of an append-only file as well, as a rewrite with `aof-use-rdb-preamble` leaves it."""
    if version.partition(".")[0].isdigit() and int(version.partition(".")[0]) < _SEVERAL_PARTS_SINCE:
        shutil.copy2(data / DUMP, data / "appendonly.aof")  # a copy: that version appends to this very file
        return
    folder = data / _APPEND_ONLY
    folder.mkdir(mode=0o755)
    (folder / "appendonly.aof.1.base.rdb").hardlink_to(data / DUMP)  # neither is ever written to, only replaced
    (folder / "appendonly.aof.1.incr.aof").touch(mode=0o644)
    (folder / "appendonly.aof.manifest").write_text(
        "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"
    )
