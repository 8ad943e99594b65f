"""Which moments can be brought back: from the first point's end to the last commit in the log."""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coffer.errors import CofferError, NotThere
from coffer.processes import run
from coffer.recovery.target import RestoreTarget
from coffer.sources.postgres.programs import programs
from coffer.sources.postgres.wal import Piece, is_segment
from coffer.sources.postgres.wal_archive import WalReader
from coffer.sources.postgres.wal_fetch import WalFetcher
from coffer.vault.capture import Fact
from coffer.vault.points import Point

_COMMIT = re.compile(r"\bdesc: COMMIT (?:PREPARED )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC")
_LOOK_BACK = 16


def newest_commit(
    archive: WalReader, facts: Mapping[str, Fact], log: Callable[[str], None] = lambda _line: None
) -> datetime | None:
    """Return when the last transaction in the log was committed; None where that is not to be found out.

    Args:
        archive: The vault.
        facts: What the capture of the cluster remembered.
        log: Called with a line where the log cannot be read.
    """
    cluster, size = str(facts["cluster"]), int(str(facts["segment_size"]))
    fetcher = WalFetcher(archive, cluster, system=str(facts["system_identifier"]), segment_size=size)
    try:
        for name in _last_segments(archive.wal_names(cluster))[:_LOOK_BACK]:
            found = _last_commit(name, fetcher.read(name))
            if found is not None:
                return found
    except CofferError as error:
        log(f"the end of the log is not to be read, moments are drawn up to the last point: {error}")
    return None


def draw_target(points: Sequence[Point], source: str, seed: int, end: datetime | None = None) -> RestoreTarget:
    """Draw a moment from the window: between the first point's end and the end of the log, or else the last point.

    Args:
        points: The service's points, oldest first.
        source: Name of the cluster in them.
        seed: Seed of the draw; the same one draws the same moment of the same window.
        end: When the last transaction in the log was committed.

    Raises:
        NotThere: No point holds the source.
    """
    holding = [(point, held.facts) for point in points if (held := point.source(source)) is not None]
    if not holding:
        raise NotThere(f"no point holds {source}", resolution="Take one with `coffer backup`")
    first = datetime.fromisoformat(str(holding[0][1]["stopped"]))
    # Beyond the last transaction PostgreSQL would look for one more, find none, and end.
    last = end or holding[-1][0].started
    if last <= first:
        return RestoreTarget()
    drawn = random.Random(seed).uniform(0, (last - first).total_seconds())  # noqa: S311 - a reproducible draw
    return RestoreTarget.at_time(first + timedelta(seconds=drawn))


def _last_segments(names: Iterable[str]) -> list[str]:
    """Return the segments of the newest timeline, newest first, those of which only pieces came included."""
    found = set()
    for name in names:
        piece = Piece.parse(name)
        segment = piece.segment if piece else name
        if is_segment(segment):
            found.add(segment)
    newest = max(found, default="")[:8]
    return sorted((name for name in found if name.startswith(newest)), reverse=True)


def _last_commit(name: str, data: bytes) -> datetime | None:
    with tempfile.TemporaryDirectory(prefix="coffer-wal-") as folder:
        place = Path(folder) / name
        place.write_bytes(data)
        installed = programs()
        # It ends with 1 where the log does: zeros follow.
        done = run(
            [installed.path("pg_waldump"), "--rmgr=Transaction", place],
            timeout=60,
            accept=(0, 1),
            environment={**installed.environment(), "TZ": "UTC"},
        )
    commits = _COMMIT.findall(done.stdout)
    return datetime.fromisoformat(commits[-1]).replace(tzinfo=UTC) if commits else None
