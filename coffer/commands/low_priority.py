"""The lowest priority for processor and disk: what a restore or a backup takes on a host that serves others."""

from __future__ import annotations

import ctypes
import os
import platform

_LOWEST = 19
_IDLE = 3 << 13  # IOPRIO_CLASS_IDLE of linux/ioprio.h: the disk when nobody else wants it
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}  # the C library has no name for this call
_WHO_PROCESS = 1


def take_lowest_priority() -> None:
    """Give way to everybody, from now on and for every program that is started; never fails."""
    os.nice(_LOWEST)
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, _WHO_PROCESS, 0, _IDLE)
