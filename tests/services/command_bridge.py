"""Runs the commands that PostgreSQL calls as the account of the test, which PostgreSQL's own account may not reach."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import threading
from pathlib import Path
from types import TracebackType

from coffer.sources.postgres.programs import own

_CLIENT = """\
printf '%s\\t%s\\n' "$2" "$3" > "$1/requests" || exit 126
read -r code < "$1/replies" || exit 126
exit "$code"
"""


class CommandBridge:
    """A context manager; `setting` is what PostgreSQL gets, `line` is what runs, in its data folder, with its words.

    Args:
        folder: Folder for the pipes, reachable for the account.
        user: PostgreSQL's account: what the command brings becomes its own.
        line: The shell line, with `%f` and `%p`.
        data: The data folder.
        apart: Run in a folder of the test's account that stands for the data folder, so that a command whose rights
            were taken away can still work.

    Attributes:
        calls: Each call: the file's name, the exit code, what it wrote to standard error.
    """

    def __init__(self, folder: Path, user: str, line: str, data: Path, *, apart: bool = False) -> None:
        self._folder, self._user, self._line, self._data, self._apart = folder, user, line, data, apart
        self.calls: list[tuple[str, int, str]] = []

    @property
    def setting(self) -> str:
        return f'sh {self._folder}/client.sh {self._folder} "%f" "%p"'

    def __enter__(self) -> CommandBridge:
        self._folder.mkdir(mode=0o700, parents=True)
        (self._folder / "client.sh").write_text(_CLIENT)
        for name in ("requests", "replies"):
            os.mkfifo(self._folder / name, 0o600)
        own(self._folder, self._user)
        self._requests, self._replies = (os.open(self._folder / name, os.O_RDWR) for name in ("requests", "replies"))
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.write(self._waker, b"!")
        self._thread.join()
        for descriptor in (self._requests, self._replies, self._wake, self._waker):
            os.close(descriptor)

    def _serve(self) -> None:
        received = b""
        while True:
            ready, _, _ = select.select([self._requests, self._wake], [], [])
            if self._wake in ready:
                return
            received += os.read(self._requests, 4096)
            *lines, received = received.split(b"\n")
            for line in lines:
                name, place = line.decode().split("\t")
                os.write(self._replies, f"{self._run(name, place)}\n".encode())

    def _run(self, name: str, place: str) -> int:
        line = self._line.replace("%f", name).replace("%p", place).replace("%%", "%")
        where = self._stand_in() if self._apart else self._data
        done = subprocess.run(["sh", "-c", line], cwd=where, capture_output=True)
        self.calls.append((name, done.returncode, done.stderr.decode(errors="replace")))
        if self._apart and (where / place).exists():
            shutil.copyfile(where / place, self._data / place)
            (where / place).unlink()
        if (self._data / place).exists():
            own(self._data / place, self._user)
        return done.returncode

    def _stand_in(self) -> Path:
        folder = self._folder.with_name(f"{self._folder.name}-data")
        (folder / "pg_wal").mkdir(parents=True, exist_ok=True)
        (folder / "global").mkdir(exist_ok=True)
        for name in ("PG_VERSION", "postmaster.pid", "global/pg_control"):
            shutil.copyfile(self._data / name, folder / name)
        return folder
