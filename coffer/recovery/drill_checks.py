"""What a restored service must answer; each raises what is wrong, and returns what it saw."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from psycopg import sql

from coffer.errors import IntegrityError, NotThere, OutsideSystemError, UnsafeTarget
from coffer.recovery import heartbeat
from coffer.recovery.isolation import Isolation
from coffer.recovery.promises import said
from coffer.recovery.questions import Answer
from coffer.recovery.report import DrillReport
from coffer.recovery.scratch import Scratch
from coffer.recovery.table_names import names_in

_NAMED = 5


def tables_are_there(scratch: Scratch, database: str, expected: frozenset[str]) -> str:
    """Compare the tables of the restored database with those that the points name.

    Raises:
        IntegrityError: Some are gone; they are named.
    """
    with scratch.server.connect(database) as connection:
        found = set(names_in(connection))
    gone = sorted(expected - found)
    if gone:
        raise IntegrityError("tables are gone", detail=_some(gone))
    return f"{len(found)} tables" + (f", all {len(expected)} that the point names" if expected else "")


def inventory(folder: Path) -> dict[str, int]:
    """Return the size of each file below a folder."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def files_are_there(folder: Path, expected: Mapping[str, int]) -> str:
    """Compare a folder with what a point, and what was shipped since, hold of it.

    Raises:
        IntegrityError: Files are gone or cut off; they are named.
    """
    found = inventory(folder)
    wrong = sorted(name for name, size in expected.items() if found.get(name) != size)
    if wrong:
        raise IntegrityError("files are gone or cut off", detail=_some(wrong))
    return f"{len(found)} files"


def heartbeat_fits(scratch: Scratch, database: str, moment: datetime | None, asked: datetime) -> tuple[str, datetime]:
    """Find the newest heartbeat that came back; return it for people, and itself.

    Args:
        scratch: The restored cluster.
        database: Where heartbeats are.
        moment: The moment that was to be brought back, if it is a time.
        asked: When the drill began: no heartbeat may be newer than this either.

    Raises:
        NotThere: There is none.
        IntegrityError: It is newer than the moment.
    """
    with scratch.server.connect(database) as connection:
        beat = heartbeat.newest(connection)
    if beat > (moment or asked):
        raise IntegrityError("a heartbeat is newer than the moment", detail=f"{beat} is after {moment or asked}")
    return f"newest heartbeat {beat.astimezone(UTC):%H:%M:%S.%f} UTC", beat


def vault_is_fresh(newest: datetime, now: datetime, promise: float) -> str:
    """Make sure that a disaster now, and not only at the moment of the drill, would lose no more than was promised.

    Raises:
        OutsideSystemError: What is newest in the vault is too old.
    """
    age = max(0.0, (now - newest).total_seconds())
    if age > promise:
        raise OutsideSystemError(
            "nothing new came into the vault",
            detail=f"the newest that could come back is {said(age)} old ({newest:%Y-%m-%d %H:%M:%S} UTC), "
            f"promised {said(promise)}",
            resolution="Look whether points are taken and whether the log is shipped: coffer doctor",
        )
    return f"the newest that could come back is {said(age)} old"


def cut_off(scratch: Scratch, isolation: Isolation) -> str:
    """Look from inside the restored cluster for a network, and for production's sockets.

    Where the kernel gave no namespaces there is nothing to look for: that is said, and that nothing listens is what
    is left.

    Raises:
        UnsafeTarget: There is one.
    """
    if not isolation.complete:
        return isolation.detail
    seen: list[str] = []
    with scratch.server.connect() as connection:
        connection.execute("CREATE TEMPORARY TABLE seen (line text)")
        for command in (
            "tail -n +3 /proc/net/dev | cut -d: -f1",
            *(f"find {path} -type s" for path in isolation.hidden),
        ):
            connection.execute(sql.SQL("COPY seen FROM PROGRAM {}").format(sql.Literal(command)))
        seen = [str(row[0]).strip() for row in connection.execute("SELECT line FROM seen").fetchall()]
    reached = sorted(set(seen) - {"lo"})
    if reached:
        raise UnsafeTarget("what was restored is not cut off from production", detail=", ".join(reached[:_NAMED]))
    return isolation.detail


def promises_are_kept(report: DrillReport) -> str:
    """Compare what was measured with what was promised.

    Raises:
        OutsideSystemError: It took longer, or brought back less.
    """
    lost = report.rpo_seconds.items()
    late = [f"{part} {seconds:.0f} s" for part, seconds in lost if seconds > report.rpo_promise]
    if report.rto_seconds is not None and report.rto_seconds > report.rto_promise:
        late.append(f"recovery took {report.rto_seconds:.0f} s")
    if late:
        raise OutsideSystemError("a promise was broken", detail=", ".join(late))
    return f"recovery within {report.rto_promise:.0f} s, nothing older than {report.rpo_promise:.0f} s"


def said_yes(answer: Answer) -> str:
    """Return what the service said.

    Raises:
        IntegrityError: It answered a question with no.
    """
    if not answer.ok:
        raise IntegrityError("the service says that its data is wrong", detail="; ".join(answer.wrong))
    if not answer.questions:
        raise NotThere("the service asked nothing")
    numbers = ", ".join(f"{name} {value}" for name, value in answer.facts.items() if value is not None)
    return f"{len(answer.questions)} asked, all yes; {numbers}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
