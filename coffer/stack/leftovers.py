"""What must be gone after `down`: processes that carry our mark, and mounts below the state folder."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from coffer.errors import StepFailed
from coffer.processes import run
from coffer.stack.supervisor import MARK

_PROC = Path("/proc")
_PATIENCE = 10.0


def processes_of(mark: str) -> list[int]:
    """Return the processes that were started below the supervisor with this mark."""
    needle = f"{MARK}={mark}".encode()
    found = []
    for process in _PROC.iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):  # it ended, or it is another account's
                if needle in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
    return found


def end_processes(mark: str) -> list[int]:
    """End every process with this mark: SIGTERM, then SIGKILL.

    Returns:
        The ids of those that had been left.

    Raises:
        StepFailed: One does not go.
    """
    left = first = processes_of(mark)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
        end = time.monotonic() + _PATIENCE
        while (left := processes_of(mark)) and time.monotonic() < end:
            time.sleep(0.05)
    if left:
        raise StepFailed("processes of the stack do not end", detail=", ".join(map(str, left)))
    return first


def mounts_below(folder: Path) -> list[Path]:
    """Return mount points below a folder, innermost first."""
    points = []
    for line in (_PROC / "self" / "mounts").read_text().splitlines():
        point = Path(line.split()[1].encode().decode("unicode_escape"))
        if folder in point.parents:
            points.append(point)
    return sorted(points, key=lambda point: len(point.parts), reverse=True)


def unmount_below(folder: Path) -> list[Path]:
    """Unmount everything below a folder.

    Returns:
        What was mounted.

    Raises:
        OutsideSystemError: Something is in use.
    """
    mounted = mounts_below(folder)
    for point in mounted:
        run(["umount", str(point)], timeout=30)
    return mounted
