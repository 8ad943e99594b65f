"""How much log a replication slot makes the server keep, said before the disk is full or the slot is lost."""

from __future__ import annotations

import enum
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from coffer.errors import Unreachable

_QUERY = """
SELECT slot.active, slot.wal_status, slot.safe_wal_size,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END,
                       slot.restart_lsn)::bigint,
       (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
       (SELECT setting FROM pg_settings WHERE name = 'data_directory')
FROM pg_replication_slots slot WHERE slot.slot_name = %s
"""
_FULL_SHARE = 0.5
_MIB = 1 << 20


class SlotState(enum.Enum):
    """How a slot is."""

    OK = "ok"
    IDLE = "idle"
    """Nobody reads it: the log grows."""
    IN_DANGER = "in danger"
    """More than half of what may be kept, or of the disk, is taken."""
    LOST = "lost"
    """The server no longer has what the slot stood for: a new full point is needed."""
    ABSENT = "absent"


@dataclass(frozen=True)
class SlotHealth:
    """One look at a slot.

    Attributes:
        slot: Its name.
        active: Whether somebody reads it now.
        wal_status: As pg_replication_slots has it; empty where there is no slot.
        kept: Bytes of log that the server keeps for it.
        limit: Bytes that it may keep at most (max_slot_wal_keep_size); None: until the disk is full.
        safe: Bytes that may still be written before it is in danger of being lost; None: no limit.
        disk_free: Bytes free on the disk of the server; None: it is another machine's, or not to be known.
        at: `time.monotonic()` of the look.
    """

    slot: str
    active: bool = False
    wal_status: str = ""
    kept: int = 0
    limit: int | None = None
    safe: int | None = None
    disk_free: int | None = None
    at: float = field(default=0.0, compare=False)

    @property
    def state(self) -> SlotState:
        """What that means."""
        if not self.wal_status:
            return SlotState.ABSENT
        if self.wal_status == "lost":
            return SlotState.LOST
        if self.wal_status == "unreserved" or self.share >= _FULL_SHARE:
            return SlotState.IN_DANGER
        return SlotState.OK if self.active else SlotState.IDLE

    @property
    def share(self) -> float:
        """Part of what may be kept that is taken, 0 to 1: of the limit, or of the disk as it was without."""
        rooms = [self.limit] if self.limit is not None else []
        if self.disk_free is not None:
            rooms.append(self.kept + self.disk_free)
        return self.kept / max(1, min(rooms)) if rooms else 0.0

    def seconds_left(self, before: SlotHealth) -> float | None:
        """Return in how many seconds the log or the disk ends at the pace since an earlier look; None: it shrinks."""
        rooms = [room for room in (self.safe, self.disk_free) if room is not None]
        grown, passed = self.kept - before.kept, self.at - before.at
        return min(rooms) * passed / grown if rooms and grown > 0 and passed > 0 else None

    def __str__(self) -> str:
        """Return it for people, one line."""
        if self.state is SlotState.ABSENT:
            return f"there is no slot {self.slot}"
        if self.state is SlotState.LOST:
            return f"slot {self.slot} is lost: the server dropped log that was not yet archived; take a full point"
        text = f"slot {self.slot} keeps {self.kept / _MIB:.0f} MiB of log"
        text += "" if self.limit is None else f" of at most {self.limit / _MIB:.0f} MiB"
        text += "" if self.disk_free is None else f", {self.disk_free / _MIB:.0f} MiB free on the disk"
        return f"{text}{'' if self.active else ', nobody reads it'} ({self.state.value}, {self.share:.0%})"


def slot_health(conninfo: str, slot: str = "coffer") -> SlotHealth:
    """Look at a slot.

    Args:
        conninfo: The server; any role that may log in.
        slot: Its name.

    Raises:
        Unreachable: The server does not answer, or does not let us in.
    """
    try:
        with psycopg.connect(conninfo, connect_timeout=10, autocommit=True) as connection:
            row = connection.execute(_QUERY, [slot]).fetchone()
            here = connection.info.host.startswith(("/", "127.0.0.1", "localhost"))
    except psycopg.Error as error:
        raise Unreachable("PostgreSQL does not say how its slot is", detail=str(error)) from error
    if row is None:
        return SlotHealth(slot, at=time.monotonic())
    active, status, safe, kept, limit, data = row
    return SlotHealth(
        slot,
        active=active,
        wal_status=status or "reserved",
        kept=max(0, kept or 0),
        limit=limit * _MIB if limit is not None and limit >= 0 else None,
        safe=safe,
        disk_free=_free(data) if here else None,
        at=time.monotonic(),
    )


def _free(data: str | None) -> int | None:
    try:
        return shutil.disk_usage(Path(data) / "pg_wal").free if data else None
    except OSError:
        return None
