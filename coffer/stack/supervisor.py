"""supervisord, which keeps the stack's processes: its configuration, and a word with it over its UNIX socket."""

from __future__ import annotations

import os
import re
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import SupervisorTransport

from coffer.errors import OutsideSystemError, StepFailed, UsageError
from coffer.processes import run
from coffer.stack import files
from coffer.stack.service import Service

# In the environment of everything that we start, so that nothing of ours can outlive us unseen.
MARK = "COFFER_SUPERVISED"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FOREIGN = ("PREFECT_", "AWS_", "PG", "COFFER_", "DOCKER_")
_ALREADY_STARTED, _NOT_RUNNING = 60, 70
_SHUTDOWN_SECONDS = 90


@dataclass(frozen=True)
class ProcessState:
    """What the supervisor says of a process.

    Attributes:
        state: RUNNING, STARTING, STOPPED, BACKOFF, FATAL, EXITED …
        pid: Process id, or 0.
        since: Start as a UNIX time, or 0.
        description: Its own words.
    """

    state: str
    pid: int
    since: int
    description: str


class Supervisor:
    """One supervisord, its files in one folder.

    Args:
        run_directory: For socket, process id and configuration.
        log_directory: One log a service.
        mark: Value of `MARK` for everything below it.
    """

    def __init__(self, run_directory: Path, log_directory: Path, mark: str) -> None:
        self._run, self._logs, self._mark = run_directory, log_directory, mark
        self._socket = run_directory / "supervisor.sock"
        self._pid_file = run_directory / "supervisord.pid"
        self._config = run_directory / "supervisord.conf"

    def log(self, name: str) -> Path:
        """Return the log of a service."""
        return self._logs / f"{name}.log"

    def pid(self) -> int | None:
        """Return the supervisor's process id while it lives."""
        try:
            pid = int(self._pid_file.read_text())
            return pid if b"supervisord" in Path(f"/proc/{pid}/cmdline").read_bytes() else None
        except (OSError, ValueError):
            return None

    def apply(self, services: Iterable[Service]) -> None:
        """Start the supervisor with these services, or teach them to the running one. Starts none of them.

        A service whose command or environment has changed is stopped, to be started anew.
        """
        files.write(self._config, configuration(services, self._run, self._logs, self._mark))
        if self.pid() is None:
            self._socket.unlink(missing_ok=True)
            daemon = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config)]
            run([*_without_foreign_settings(), *daemon], timeout=30, directory=self._run)
            self._wait_for_answer()
            return
        added, changed, removed = cast(list[list[list[str]]], self._call("reloadConfig"))[0]
        for name in (*removed, *changed):
            self._call("stopProcessGroup", name)
            self._call("removeProcessGroup", name)
        for name in (*added, *changed):
            self._call("addProcessGroup", name)

    def start(self, name: str) -> None:
        """Start a service, unless it runs."""
        self._call("startProcess", name, False, tolerate=_ALREADY_STARTED)

    def stop(self, name: str) -> None:
        """Stop a service and wait for its end."""
        self._call("stopProcess", name, True, tolerate=_NOT_RUNNING)

    def states(self) -> Mapping[str, ProcessState]:
        """Return every process it knows; nothing when it does not run."""
        if self.pid() is None:
            return {}
        return {
            entry["name"]: ProcessState(
                entry["statename"],
                entry["pid"],
                entry["start"] if entry["pid"] else 0,
                entry["spawnerr"] or entry["description"],
            )
            for entry in cast(list[dict[str, Any]], self._call("getAllProcessInfo"))
        }

    def shut_down(self) -> None:
        """End the supervisor with everything below it, and wait until it is gone.

        Raises:
            StepFailed: It is still there after a long wait.
        """
        if (pid := self.pid()) is None:
            return
        self._call("shutdown")
        end = time.monotonic() + _SHUTDOWN_SECONDS
        while self.pid() == pid:
            if time.monotonic() > end:
                raise StepFailed("the supervisor did not end", detail=f"process {pid}", resolution=f"Run: kill {pid}")
            time.sleep(0.05)

    def _wait_for_answer(self) -> None:
        end = time.monotonic() + 30
        while True:
            try:
                self._call("getState")
            except OutsideSystemError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
            else:
                return

    def _call(self, method: str, *arguments: object, tolerate: int = 0) -> object:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        try:
            with xmlrpc.client.ServerProxy("http://127.0.0.1", transport) as proxy:
                return cast(object, getattr(proxy.supervisor, method)(*arguments))
        except xmlrpc.client.Fault as fault:
            if tolerate and fault.faultCode == tolerate:
                return None
            raise OutsideSystemError(f"the supervisor refused {method}", detail=fault.faultString) from fault
        except (OSError, xmlrpc.client.ProtocolError) as error:
            raise OutsideSystemError("the supervisor does not answer", detail=f"{self._socket}: {error}") from error
        finally:
            transport.close()


def configuration(services: Iterable[Service], run_directory: Path, log_directory: Path, mark: str) -> str:
    """Return supervisord.conf. It may hold secrets of environments, so it is for its owner only."""
    head = f"""[unix_http_server]
file={_plain(run_directory / "supervisor.sock")}
chmod=0700

[supervisord]
pidfile={_plain(run_directory / "supervisord.pid")}
logfile={_plain(log_directory / "supervisord.log")}
childlogdir={_plain(log_directory)}
directory={_plain(run_directory)}
environment={_environment({MARK: mark, "PATH": _path()})}
{"user=root" if os.geteuid() == 0 else ""}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
    return head + "".join(_program(service, log_directory) for service in services)


def _program(service: Service, log_directory: Path) -> str:
    lines = {
        "command": " ".join(_quoted(word) for word in service.argv),
        "environment": _environment(service.environment),
        "stdout_logfile": _plain(log_directory / f"{service.name}.log"),
        "redirect_stderr": "true",
        "stdout_logfile_maxbytes": "20MB",
        "stdout_logfile_backups": "1",
        # We start them in their order; afterwards the supervisor brings back what falls.
        "autostart": "false",
        "autorestart": "true",
        "startretries": "5",
        "stopsignal": service.stop_signal,
        "stopwaitsecs": str(service.stop_seconds),
        "killasgroup": "true",
    }
    if service.directory:
        lines["directory"] = _plain(service.directory)
    if service.user:
        lines["user"] = service.user
    body = "".join(f"{key}={value}\n" for key, value in lines.items() if value)
    return f"\n[program:{service.name}]\n{body}"


def _without_foreign_settings() -> list[str]:
    """Return the words that take from a command what would make the stack depend on who started it."""
    foreign = [name for name in os.environ if name.startswith(_FOREIGN)]
    return ["env", *(word for name in foreign for word in ("-u", name))]


def _path() -> str:
    return f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}:{_SYSTEM_PATH}"


def _plain(value: object) -> str:
    text = str(value)
    # The file's format has no way to write these: a line would end, or a comment begin.
    if "\n" in text or re.search(r"(^|\s)[;#]", text):
        raise UsageError("the supervisor's configuration cannot hold this", detail=repr(text))
    return text.replace("%", "%%")  # the file's own expansion


def _quoted(word: str) -> str:
    return _plain('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"')


def _environment(variables: Mapping[str, str]) -> str:
    return ",".join(f"{name}={_variable(value)}" for name, value in sorted(variables.items()))


def _variable(value: str) -> str:
    # It strips quotes of both kinds from both ends, and knows no way to write one.
    if '"' in value or value.strip("'") != value:
        raise UsageError("the supervisor's configuration cannot hold quotes there", detail=repr(value))
    return _plain(f'"{value}"')
