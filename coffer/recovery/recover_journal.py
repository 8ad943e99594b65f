"""What a recovery has done so far, on the disk of the host that it recovers: whoever comes after a crash goes on."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from coffer.errors import HeldByAnother, IntegrityError
from coffer.recovery.recover_plan import RecoveryPlan
from coffer.targets.docker_host import files


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """One step that was carried out.

    Attributes:
        at: When it ended, ISO 8601.
        seconds: How long it took, in the attempt that ended well.
        detail: What it saw.
    """

    at: str
    seconds: float
    detail: str = ""


class Record(msgspec.Struct, kw_only=True):
    """The journal's content.

    Attributes:
        plan: What was decided.
        confirmed_by: Who said yes; empty until then.
        begun: When the first step began, ISO 8601; empty before.
        finished: When the last one ended, ISO 8601; empty before.
        done: Steps by key.
        folders: Path of a recovered folder: device and inode, known before it gets its name.
        facts: What steps want remembered.
    """

    plan: RecoveryPlan
    confirmed_by: str = ""
    begun: str = ""
    finished: str = ""
    done: dict[str, Done] = {}
    folders: dict[str, str] = {}
    facts: dict[str, str | float | int | bool | None] = {}


class Journal:
    """One recovery's journal: a file that is always whole.

    Args:
        path: The file.
        record: Its content.
    """

    def __init__(self, path: Path, record: Record) -> None:
        self.path, self.record = path, record

    @classmethod
    def begin(cls, folder: Path, plan: RecoveryPlan) -> Journal:
        """Write down a plan, before anything is done."""
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)  # PostgreSQL's account walks through it to its socket
        journal = cls(folder / f"{plan.id}.json", Record(plan=plan))
        journal.save()
        return journal

    @classmethod
    def load(cls, path: Path) -> Journal:
        """Read a journal.

        Raises:
            IntegrityError: It is none.
        """
        try:
            return cls(path, msgspec.json.decode(path.read_bytes(), type=Record))
        except msgspec.MsgspecError as error:
            raise IntegrityError(f"{path} is not a recovery's journal", detail=str(error)) from error

    @classmethod
    def named(cls, folder: Path, recovery: str) -> Journal | None:
        """Return the journal of one recovery, if it was ever planned."""
        path = folder / f"{recovery}.json"
        return cls.load(path) if path.exists() else None

    @classmethod
    def unfinished(cls, folder: Path) -> Journal | None:
        """Return the newest recovery that was begun and has not ended."""
        journals = [cls.load(path) for path in sorted(folder.glob("*.json"))]
        open_ones = [journal for journal in journals if journal.record.begun and not journal.record.finished]
        return max(open_ones, key=lambda journal: journal.record.begun, default=None)

    def save(self) -> None:
        """Put it on the disk."""
        files.replace(self.path, msgspec.json.format(msgspec.json.encode(self.record)).decode() + "\n", 0o600)

    def note(self, key: str, seconds: float, detail: str) -> None:
        """Write down that a step is done."""
        self.record.done[key] = Done(at=now(), seconds=round(seconds, 3), detail=detail)
        self.save()

    def expect(self, path: Path, staging: Path) -> None:
        """Write down which folder will get a name, before it gets it."""
        self.record.folders[str(path)] = identity(staging)
        self.save()

    def holds(self, path: Path) -> bool:
        """Tell whether a folder is the very one that was recovered."""
        return path.exists() and self.record.folders.get(str(path)) == identity(path)


def identity(path: Path) -> str:
    """Return what stays the same when a folder is renamed."""
    found = path.stat()
    return f"{found.st_dev}:{found.st_ino}"


def now() -> str:
    """Return this moment."""
    return datetime.now(UTC).isoformat()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one recovery act at a time.

    Raises:
        HeldByAnother: Another one acts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HeldByAnother(
                "another recovery is at work here", detail=str(folder), resolution="Wait for it, or end it"
            ) from None
        yield
    finally:
        os.close(descriptor)
