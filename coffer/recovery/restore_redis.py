"""Brings Redis back: a folder on which redis-server starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coffer.vault.capture import Fact
from coffer.vault.points import Point
from coffer.vault.reader import VaultReader
from coffer.vault.restoring import RestoreSummary

DUMP = "dump.rdb"


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
    """Restore a Redis; a server whose `dir` is the folder, with `appendonly no`, starts with every key and its expiry.

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
    return RestoredRedis(destination, point, facts, summary)
