"""Who keeps a service's programs running: supervisord, systemd, or nobody, in which case we start them ourselves."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Protocol

from psycopg.pq import PGconn, Ping

from coffer.errors import OutsideSystemError, StepFailed, UsageError
from coffer.processes import run
from coffer.recovery.recover_place import RecoveryPlace
from coffer.recovery.recover_redis import answers, shut_down
from coffer.sources.postgres.programs import own
from coffer.sources.postgres.server import PostgresServer

_SECONDS = 90
_POLL = 0.05


class Keeper(Protocol):
    """Starts and stops the programs of a place, by role: `postgres`, `redis`, `wal`, `files`."""

    def keeps(self, role: str) -> bool:
        """Tell whether it has a program for that role."""
        ...

    def start(self, role: str) -> None:
        """Start it, unless it runs.

        Raises:
            OutsideSystemError: The keeper refuses.
        """
        ...

    def stop(self, role: str) -> None:
        """Stop it, and come back when it is gone; nothing if it does not run."""
        ...


def open_keeper(place: RecoveryPlace) -> Keeper:
    """Return the keeper that a place names.

    Raises:
        UsageError: It names none of the known ones.
    """
    kind, _, socket = place.keeper.partition(":")
    if kind == "own":
        return OwnKeeper(place)
    if kind == "systemd":
        return NamedKeeper(place, ["systemctl"])
    if kind == "supervisor":
        beside = Path(sys.executable).with_name("supervisorctl")
        program = str(beside) if beside.exists() else "supervisorctl"
        return NamedKeeper(place, [program, "-s", f"unix://{socket}"])
    raise UsageError(f"'{place.keeper}' keeps no programs", resolution="Write own, systemd or supervisor:SOCKET")


class NamedKeeper:
    """supervisord or systemd: programs have names, and one command starts and stops them.

    Args:
        place: Whose programs.
        command: The command, without verb and name.
    """

    def __init__(self, place: RecoveryPlace, command: list[str]) -> None:
        self._place, self._command = place, command

    def keeps(self, role: str) -> bool:
        """See `Keeper`."""
        return role in self._place.units

    def start(self, role: str) -> None:
        """See `Keeper`."""
        said = self._say("start", role)
        if re.search(r"ERROR \((?!already started)", said):
            raise StepFailed(f"{self._place.units[role]} does not start", detail=said)

    def stop(self, role: str) -> None:
        """See `Keeper`."""
        said = self._say("stop", role)
        if re.search(r"ERROR \((?!not running)", said):
            raise StepFailed(f"{self._place.units[role]} does not stop", detail=said)

    def _say(self, verb: str, role: str) -> str:
        if role not in self._place.units:
            return ""
        # supervisorctl ends with 7 when a program is already where it should be, and says so.
        done = run([*self._command, verb, self._place.units[role]], timeout=_SECONDS, accept=range(8))
        text = f"{done.stdout} {done.stderr}".strip()
        if done.exit_code and "ERROR (" not in text:
            raise OutsideSystemError(f"{Path(self._command[0]).name} {verb} ended with {done.exit_code}", detail=text)
        return text


class OwnKeeper:
    """No keeper: PostgreSQL and Redis are started as daemons of our own, as on a bare host.

    Args:
        place: Whose programs.
    """

    def __init__(self, place: RecoveryPlace) -> None:
        self._place = place

    def keeps(self, role: str) -> bool:
        """See `Keeper`."""
        return role in ("postgres", "redis")

    def start(self, role: str) -> None:
        """See `Keeper`."""
        place = self._place
        if role == "postgres" and postmaster(place) is None:
            _clear_lock(place)
            server_of(place).launch()
        elif role == "redis" and not answers(place.redis_socket):
            place.redis_sockets.mkdir(parents=True, exist_ok=True)
            run(self._redis(), timeout=_SECONDS)

    def stop(self, role: str) -> None:
        """See `Keeper`."""
        place = self._place
        if role == "postgres" and (pid := postmaster(place)) is not None:
            # One whose folder is gone cannot shut down in good order.
            end(pid, signal.SIGINT if (place.postgres / "postmaster.pid").exists() else signal.SIGQUIT)
        elif role == "redis":
            shut_down(place.redis_socket)

    def _redis(self) -> list[str]:
        place = self._place
        return [
            "redis-server", "--port", "0", "--unixsocket", str(place.redis_socket), "--unixsocketperm", "777",
            "--dir", str(place.redis), "--appendonly", "yes", "--daemonize", "yes",
            "--logfile", str(place.redis.parent / "redis.log"),
        ]  # fmt: skip


def server_of(place: RecoveryPlace) -> PostgresServer:
    """Return the means to run a place's PostgreSQL where the service expects it."""
    return PostgresServer(
        place.postgres,
        port=place.postgres_port,
        socket_dir=place.postgres_sockets,
        user=place.postgres_user,
        installation=place.programs,
    )


def postmaster(place: RecoveryPlace) -> int | None:
    """Return the process that runs on a place's data folder, if it lives; also one whose folder was deleted."""
    mark = str(place.postgres)
    return _living(place.postgres / "postmaster.pid", mark) or _living(_lock(place), mark)


def _lock(place: RecoveryPlace) -> Path:
    return place.postgres_sockets / f".s.PGSQL.{place.postgres_port}.lock"


def _clear_lock(place: RecoveryPlace) -> None:
    """Remove the socket's lock that a killed server of this very folder left.

    PostgreSQL does that by itself, but for a process that nobody waited for, or whose number came again.
    """
    lock = _lock(place)
    try:
        ours = lock.read_text().splitlines()[1:2] == [str(place.postgres)]
    except OSError:
        return
    if ours:
        lock.unlink()
        lock.with_suffix("").unlink(missing_ok=True)


def end(pid: int, how: signal.Signals) -> None:
    """End a process of a place and wait until it is gone.

    Raises:
        StepFailed: It does not end.
    """
    deadline = time.monotonic() + _SECONDS
    os.kill(pid, how)
    while Path(f"/proc/{pid}").exists() and not _is_zombie(pid):
        if time.monotonic() > deadline:
            raise StepFailed(f"process {pid} does not end", resolution=f"Look at it, then: kill {pid}")
        time.sleep(_POLL)


def database_answers(place: RecoveryPlace) -> bool:
    """Tell whether PostgreSQL takes connections; no password is needed to know."""
    said = PGconn.ping(f"host={place.postgres_sockets} port={place.postgres_port}".encode())
    return said == Ping.OK  # an int in libpq's C wrapper


def give_sockets(place: RecoveryPlace) -> None:
    """Make the folder of PostgreSQL's socket, for its account to write and for all to walk through."""
    place.postgres_sockets.mkdir(parents=True, exist_ok=True)
    own(place.postgres_sockets, place.postgres_user)
    place.postgres_sockets.chmod(0o755)


def _living(pid_file: Path, mark: str) -> int | None:
    """Return the process that a file names, if it is what we think: numbers come again."""
    try:
        pid = int(pid_file.read_text().split()[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (OSError, ValueError, IndexError):
        return None
    return pid if mark in command and not _is_zombie(pid) else None


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False
