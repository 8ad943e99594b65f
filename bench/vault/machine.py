"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

import psutil

from bench.vault.measuring import drop_caches, syncfs

_BLOCK = 4 << 20
_TRIES = 3


def describe_machine(folder: Path, *, disk_bytes: int) -> dict[str, Any]:
    """Describe processor, memory, system and the disk that holds a folder.

    Args:
        folder: Scratch folder; the disk is tried there.
        disk_bytes: How much is written and read back, three times.
    """
    speeds = [_disk_speed(folder / "disk-speed", disk_bytes) for _ in range(_TRIES)]
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "system": _system(),
        "python": platform.python_version(),
        "file_system": _file_system(folder),
        "write_mb_s": [round(write / 1e6) for write, _ in speeds],
        "read_mb_s": [round(read / 1e6) for _, read in speeds],
    }


def machine_line(machine: dict[str, Any]) -> str:
    """Return it as one line."""
    write, read = (_span(machine[key]) for key in ("write_mb_s", "read_mb_s"))
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory'] / (1 << 30):.0f} GiB RAM, "
        f"{machine['system']}, Python {machine['python']}, {machine['file_system']} on a disk that writes {write} "
        f"and reads {read} MB/s cold"
    )


def _span(values: list[int]) -> str:
    return f"{min(values)}–{max(values)}"


def _disk_speed(path: Path, size: int) -> tuple[float, float]:
    block = os.urandom(_BLOCK)
    blocks = max(1, size // _BLOCK)
    try:
        began = time.monotonic()
        with path.open("wb") as stream:
            for _ in range(blocks):
                stream.write(block)
        syncfs(path.parent)
        written = time.monotonic()
        drop_caches()
        reading = time.monotonic()
        with path.open("rb", buffering=0) as stream:
            while stream.read(_BLOCK):
                pass
        return blocks * _BLOCK / (written - began), blocks * _BLOCK / (time.monotonic() - reading)
    finally:
        path.unlink(missing_ok=True)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _system() -> str:
    release = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return f"{release}, Linux {platform.release().partition('-')[0]}"


def _file_system(folder: Path) -> str:
    within = [part for part in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(part.mountpoint)]
    return max(within, key=lambda part: len(part.mountpoint)).fstype if within else "unknown"
