"""Starts one service for a test, waits until it does its work, and ends it by its process id."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from coffer.errors import StepFailed
from coffer.stack.readiness import log_tail, wait_until
from coffer.stack.service import Service

# Below the ports that the kernel gives to outgoing connections, and apart for each process of a parallel run: what was
# free when it was drawn is still free when the service, seconds later, listens there.
_PER_WORKER = 1000
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_RANGE = range(20_000 + _WORKER * _PER_WORKER, 20_000 + (_WORKER + 1) * _PER_WORKER)


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that were all free at the same moment."""
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        for port in random.sample(_RANGE, len(_RANGE)):
            each = stack.enter_context(socket.socket())
            # A service that ended a moment ago leaves connections in TIME_WAIT; services bind over them, and so do we.
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                each.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise StepFailed("no free port", detail=f"{count} of {_RANGE.start} to {_RANGE.stop - 1}")


class ThrowAway:
    """A running service; leave the `with` block and it is gone."""

    def __init__(self, service: Service, log: Path) -> None:
        self.service = service
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process, f"{self.service.name} is not running"
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        service = self.service
        service.prepare()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                service.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **service.environment},
                cwd=service.directory,
                user=service.user,
                start_new_session=True,
            )
        try:
            wait_until(self._ready, what=service.name, seconds=service.start_seconds, log=self.log)
            service.finish()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End it in good order, or hard when that takes too long."""
        if self._process:
            self._process.send_signal(getattr(signal, f"SIG{self.service.stop_signal}"))
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self.service.stop_seconds)
        self.kill()

    def kill(self) -> None:
        """End it as a power cut would, its children too."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        self.service.clean()

    def _ready(self) -> str | None:
        assert self._process
        if (code := self._process.poll()) is not None:
            raise StepFailed(f"{self.service.name} ended with {code}", detail=log_tail(self.log))
        return self.service.ready()
