"""The process that stays while PostgreSQL archives or recovers: found, started, and what it does."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from coffer.errors import CofferError, HeldByAnother
from coffer.sources.postgres.wal_commands import runtime_folder
from coffer.sources.postgres.wal_resident import IDLE_SECONDS, Resident, ask, private_folder, socket_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from coffer.commands.wal_config import WalConfig

_START_SECONDS = 15.0
_UNKNOWN = 126
_PING = "--there"


def data_folder() -> Path | None:
    """Return the data folder in which PostgreSQL called us; None when it was somebody else."""
    here = Path.cwd()
    return here if (here / "PG_VERSION").is_file() else None


def through_resident(role: str, words: list[str], config: WalConfig) -> tuple[int, str] | None:
    """Let the resident of this data folder do it; started if there is none. None: do it yourself."""
    data = data_folder()
    if data is None or not _server_lives(data):
        return None
    with contextlib.suppress(OSError, CofferError):
        folder = private_folder(runtime_folder(config.path, config.get("spool"), uid=os.geteuid()))
        path = socket_path(folder, role, data)
        answer = ask(path, [role, *words])
        if answer is None and _start(role, data, config, path):
            answer = ask(path, [role, *words])
        return answer
    return None


def stay_and_answer(role: str, data: Path, config: WalConfig) -> None:
    """Answer until nobody asks, the configuration changes or the server of the data folder is gone."""
    folder = private_folder(runtime_folder(config.path, config.get("spool"), uid=os.geteuid()))
    before = _stamp(config.path)
    work, close = _archiving(config) if role == "push" else _fetching(config, data, folder)

    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())

    def alive() -> bool:
        return not told.is_set() and _stamp(config.path) == before and _server_lives(data)

    try:
        resident = Resident(
            socket_path(folder, role, data), lambda request: _answer(work, request), alive=alive,
            idle=config.get("idle_seconds", IDLE_SECONDS),
        )  # fmt: skip
        resident.run()
    except HeldByAnother:
        return  # two calls started one each: the other answers
    finally:
        close()


def _answer(work: Callable[[list[str]], tuple[int, str]], request: list[str]) -> tuple[int, str]:
    try:
        return (0, "") if request[1:] == [_PING] else work(request[1:])
    except CofferError as error:
        return error.exit_code, str(error)
    except Exception as error:  # the one place where nothing may escape: PostgreSQL waits for an answer
        return _UNKNOWN, f"{type(error).__name__}: {error}"


def _archiving(config: WalConfig) -> tuple[Callable[[list[str]], tuple[int, str]], Callable[[], None]]:
    from coffer.sources.postgres.wal_archiver import Archiver

    writer = config.open_writer()
    archiver = Archiver(config.open_pusher(writer, _say), writer)

    def push(words: list[str]) -> tuple[int, str]:
        archiver.push(Path(words[0]))
        return 0, ""

    return push, archiver.close


def _fetching(
    config: WalConfig, data: Path, folder: Path
) -> tuple[Callable[[list[str]], tuple[int, str]], Callable[[], None]]:
    from coffer.sources.postgres.wal import SEGMENT_SIZE
    from coffer.sources.postgres.wal_fetch import PastTheEnd
    from coffer.sources.postgres.wal_prefetch import Prefetcher

    status = data.stat()
    spool = private_folder(folder / f"spool-{status.st_dev}-{status.st_ino}")
    fetcher = config.open_fetcher(data)
    prefetcher = Prefetcher(fetcher, spool, segment_size=config.get("segment_size", SEGMENT_SIZE))

    def fetch(words: list[str]) -> tuple[int, str]:
        name, destination, *rest = words
        try:
            prefetcher.fetch(name, Path(destination))
        except PastTheEnd as error:
            return int(rest[-1]) if rest else 1, str(error)
        except CofferError as error:
            return _UNKNOWN, str(error)
        return 0, ""

    return fetch, prefetcher.close


def _start(role: str, data: Path, config: WalConfig, path: Path) -> bool:
    """Start the resident and wait until it listens; False when it did not come up."""
    from coffer.processes import start_detached

    coffer = Path(sys.executable).with_name("coffer")
    argv: list[str | Path] = [coffer, "wal", "stay", role, "--data", data, "--config", config.path.absolute()]
    child = start_detached(argv, path.with_name(f"{role}.log"))
    deadline = time.monotonic() + _START_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        if path.is_socket() and ask(path, [role, _PING]) is not None:
            return True
        time.sleep(0.01)
    return path.is_socket()


def _server_lives(data: Path) -> bool:
    """Tell whether a server runs on a data folder, by its postmaster.pid."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(abs(pid), 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _say(line: str) -> None:
    print(time.strftime("%Y-%m-%d %H:%M:%S"), line, file=sys.stderr, flush=True)
