"""A cluster that a restore may be written over: stopped, and the same one that the point holds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from coffer.errors import UnsafeTarget
from coffer.vault.capture import Fact

_CONTROL = "global/pg_control"
_PUT_AWAY = ".coffer-pg_control"
"""What pg_control is called meanwhile: PostgreSQL does not start without it, and an interrupted run is known by it."""
_SYSTEM_SIZE = (
    8  # pg_control begins with the system identifier, in the machine's order (src/include/catalog/pg_control.h)
)


class StoppedCluster:
    """A data folder that is about to be brought to a point.

    Args:
        data: The folder.
        facts: What the capture remembered.

    Raises:
        UnsafeTarget: It is no cluster, another one, or its server runs.
    """

    def __init__(self, data: Path, facts: Mapping[str, Fact]) -> None:
        self._data = data
        self._refuse_running()
        system, expected = self._system(), str(facts["system_identifier"])
        if system != expected:
            raise UnsafeTarget(
                "Another cluster is there",
                detail=f"{data} has system identifier {system}, the point has {expected}",
                resolution="Restore into an empty folder",
            )

    def make_unstartable(self) -> None:
        """Take pg_control away, durably, before anything else changes."""
        control = self._data / _CONTROL
        with suppress(FileNotFoundError):  # an interrupted run has done it
            control.rename(self._data / _PUT_AWAY)
        for folder in (control.parent, self._data):
            _sync(folder)

    def forget(self) -> None:
        """Remove what was put away: the new one stands."""
        (self._data / _PUT_AWAY).unlink(missing_ok=True)

    def _refuse_running(self) -> None:
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError, NotADirectoryError):
            return
        if _is_postmaster(abs(pid), self._data):
            raise UnsafeTarget(
                "PostgreSQL runs on that folder", detail=f"{self._data}: process {abs(pid)}", resolution="Stop it first"
            )

    def _system(self) -> str:
        for name in (_CONTROL, _PUT_AWAY):
            with suppress(FileNotFoundError, NotADirectoryError), (self._data / name).open("rb") as stream:
                return str(int.from_bytes(stream.read(_SYSTEM_SIZE), "little"))
        raise UnsafeTarget(
            "There is no cluster to bring to a point",
            detail=f"{self._data} has no {_CONTROL}",
            resolution="Restore into an empty folder, without --delta",
        )


def _is_postmaster(pid: int, data: Path) -> bool:
    """Tell whether a process is the folder's server: it lives, and works in that folder, as a postmaster does.

    After a crash the number may belong to somebody else. Where that cannot be seen, it counts as the server.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        return Path(f"/proc/{pid}/cwd").resolve(strict=True) == data.resolve()
    except (OSError, RuntimeError):
        return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
