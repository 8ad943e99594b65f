"""A Prefect server of a test session's own, and workers for it. Nobody's other server is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from coffer.prefect_api import PrefectApi
from coffer.prefect_api.transport import Transport
from tests.services.throwaway import free_ports

# A first start migrates a database: 7 s alone, minutes beside seven other test sessions.
_START_SECONDS = 240


class PrefectServer:
    """A server with SQLite in a folder of its own. `environment` is what programs need to speak to it."""

    def __init__(self, directory: Path) -> None:
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}/api"
        self.log = directory / "server.log"
        self.environment = {
            "PREFECT_HOME": str(directory / "home"),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
        self._argv = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def api(self) -> PrefectApi:
        return PrefectApi(Transport(self.url))

    def __enter__(self) -> Self:
        self._process = start(self._argv, self.environment, self.log)
        deadline = time.monotonic() + _START_SECONDS
        try:
            while not self._answers():
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.2)
        except BaseException:
            end(self._process)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process
        end(self._process)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False


def start(
    argv: list[str], environment: Mapping[str, str], log: Path, directory: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a long-lived program in a session of its own."""
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            env={**os.environ, **environment},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            # Prefect's worker sends itself SIGINT to stop; a shell's background job would ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program and its children."""
    for how, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, how)
            process.wait(seconds)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    process.wait()
