"""A process that stays while PostgreSQL archives or recovers, so that no segment pays for an interpreter's start.

It speaks over a UNIX socket in a folder that only its account may enter. A request is one line of words parted by
tabs; the answer is one line, `CODE TEXT`. It ends by itself: when nobody asked for a while, when its PostgreSQL is
gone, when its configuration changed, or when its socket was taken away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from coffer.errors import HeldByAnother, UnsafeTarget, UsageError

IDLE_SECONDS = 60.0
_LONGEST_REQUEST = 64 * 1024
_TICK = 1.0

Handle = Callable[[list[str]], tuple[int, str]]
"""Takes the words of a request, returns an exit code and a line for people. It must not raise."""


def private_folder(folder: Path) -> Path:
    """Make a folder that only this account may enter, or make sure that it is one.

    Raises:
        UnsafeTarget: Somebody else made it, or may write into it: he could say "archived" to PostgreSQL.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise UnsafeTarget(f"{folder} is not this account's own", resolution="Name another 'spool' in wal.toml")
    return folder


def socket_path(folder: Path, role: str, data: Path) -> Path:
    """Return where the resident of one data folder listens; the tiny client makes the same name of `stat .`."""
    status = data.stat()
    return folder / f"{role}-{status.st_dev}-{status.st_ino}"


class Resident:
    """Listens until there is no reason to.

    Args:
        path: Its socket.
        handle: Answers requests.
        alive: Tells whether there is still a reason to stay.
        idle: Seconds without a request after which it ends.

    Raises:
        HeldByAnother: One is listening there already.
        UsageError: The path is too long for a socket.
    """

    def __init__(self, path: Path, handle: Handle, *, alive: Callable[[], bool], idle: float = IDLE_SECONDS) -> None:
        self._path, self._handle, self._alive, self._idle = path, handle, alive, idle
        self._lock = path.with_name(f"{path.name}.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise HeldByAnother("another process answers there", detail=str(path)) from None
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._listener.bind(str(path))
        except OSError as error:
            raise UsageError(f"no socket can be made at {path}", detail=str(error)) from None
        self._inode = path.stat().st_ino
        self._listener.listen(16)
        self._listener.settimeout(_TICK)
        self._last = time.monotonic()
        self._busy = 0
        self._count = threading.Lock()

    def run(self) -> None:
        """Answer until it is time to end; requests under way are answered first."""
        with ThreadPoolExecutor(4, thread_name_prefix="request") as pool:
            while self._has_reason():
                with contextlib.suppress(TimeoutError):
                    connection, _ = self._listener.accept()
                    with self._count:
                        self._busy += 1
                    pool.submit(self._serve, connection)
            # First the name, then the listener: who asks meanwhile finds nobody and does the work itself.
            self._forget()
        self._listener.close()
        self._lock.close()

    def _has_reason(self) -> bool:
        with self._count:
            if self._busy:
                return True
        return time.monotonic() - self._last < self._idle and self._is_named() and self._alive()

    def _is_named(self) -> bool:
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def _forget(self) -> None:
        if self._is_named():
            self._path.unlink()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):  # who asked has gone
                request = _line(connection)
                if request and self._alive():
                    code, text = self._handle(request.decode(errors="surrogateescape").split("\t"))
                    connection.sendall(f"{code} {' '.join(text.split())}\n".encode(errors="replace"))
        finally:
            with self._count:
                self._busy -= 1
                self._last = time.monotonic()


def ask(path: Path, words: list[str], timeout: float | None = None) -> tuple[int, str] | None:
    """Ask a resident; None when there is none, or when it ended before it answered.

    Args:
        path: Its socket.
        words: The request, no tab and no line end in a word.
        timeout: Seconds to wait for an answer.
    """
    if any("\t" in word or "\n" in word for word in words):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, contextlib.suppress(OSError):
        connection.settimeout(timeout)
        connection.connect(str(path))
        connection.sendall("\t".join(words).encode(errors="surrogateescape") + b"\n")
        code, _, text = _line(connection).decode(errors="replace").partition(" ")
        if code.isdigit():
            return int(code), text
    return None


def _line(connection: socket.socket) -> bytes:
    """Return a line without its end; nothing when it is not whole."""
    received = b""
    while not received.endswith(b"\n"):
        part = connection.recv(4096)
        if not part or len(received) > _LONGEST_REQUEST:
            return b""
        received += part
    return received[:-1]
