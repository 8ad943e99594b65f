"""Who holds a port: asked of the kernel, so that the answer can be a name instead of "address in use"."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from coffer.errors import StepFailed
from coffer.stack.service import Service

_PROC = Path("/proc")
_LISTEN = "0A"


def is_free(port: int) -> bool:
    """Tell whether 127.0.0.1:PORT can be listened on."""
    with socket.socket() as probe:
        # As servers do: a port whose last connection is still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Describe the process that listens on a port, as far as we may see it."""
    inodes = _listening_inodes(port)
    for process in _PROC.iterdir():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it ended, or it is another account's
            if any(_link(entry) in inodes for entry in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().split(b"\0")[:3]
                return f"process {process.name} ({b' '.join(words).decode(errors='replace').strip()})"
    return "a process of another account, or one that has just ended"


def refuse_taken(services: Iterable[Service]) -> None:
    """Check that every service finds its ports free.

    Raises:
        StepFailed: One is taken; the error names port, service and holder.
    """
    for service in services:
        for port in service.ports:
            if not is_free(port):
                raise StepFailed(
                    f"port {port} of {service.name} is in use",
                    detail=f"by {holder(port)}",
                    resolution="End that process, or set COFFER_PORT_OFFSET (10000, say) to move the whole stack",
                )


def _link(entry: Path) -> str:
    try:
        return os.readlink(entry)  # noqa: PTH115 - what it says is no path
    except FileNotFoundError:
        return ""  # closed in the meantime


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return inodes
