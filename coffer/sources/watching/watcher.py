"""`coffer files watch`: what is new in a folder is in the vault within seconds."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from coffer.errors import CofferError, IntegrityError, OutsideSystemError, RefusedByPolicy, WrongKey
from coffer.sources.watching.folder_events import FolderEvents, Seen, joined
from coffer.sources.watching.known_files import KnownFiles
from coffer.sources.watching.status import WatchStatus
from coffer.sources.watching.uploads import PART_SIZE, State, is_kept, open_upload
from coffer.vault.capture import StoredEntry
from coffer.vault.journal import Shipment, ShippedFile
from coffer.vault.points import Point

SCAN_SECONDS = 600.0
_LOOK_SECONDS = 0.5
_SETTLE_SECONDS = 2.0
_MOST_FILES = 4096
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_MARGIN = timedelta(hours=1)
"""Shipments so much older than a point are looked at too: a clock may have been set."""
_FATAL = (RefusedByPolicy, IntegrityError, WrongKey)
Log = Callable[[str], None]


class Vault(Protocol):
    """What a watcher needs of a vault's writer."""

    def points(self, service: str | None = None, /) -> list[Point]:
        """Return the points, oldest first."""
        ...

    def entries(self, point: Point, source: str, /) -> Iterator[StoredEntry]:
        """Return a source's entries in a point."""
        ...

    def shipments(self, service: str, source: str, since: datetime | None, /) -> list[Shipment]:
        """Return what was shipped since a moment, oldest first."""
        ...

    def ship(
        self,
        service: str,
        source: str,
        files: Sequence[ShippedFile],
        content: bytes,
        /,
        *,
        complete_ns: int,
        previous: str = "",
    ) -> tuple[str, CofferError | None]:
        """Put a shipment; return its name, and why not every store has it."""
        ...

    def complete_shipments(self, service: str, source: str, /) -> int:
        """Bring shipments into stores that lack them."""
        ...


@dataclass(frozen=True)
class Watched:
    """What is watched.

    Attributes:
        root: The folder.
        service: Whose files.
        source: Their source's name inside points.
        scan_seconds: How often everything is looked at, whatever inotify says.
        settle_seconds: How long a file must have been at rest whose writer was not seen to close it.
    """

    root: bytes
    service: str
    source: str = "files"
    scan_seconds: float = SCAN_SECONDS
    settle_seconds: float = _SETTLE_SECONDS


class FilesWatcher:
    """Ships new files. It keeps no state of its own: what the vault has, the vault says.

    A file that vanishes is no deletion: nothing is ever taken back. What cannot be shipped now stays to be shipped.

    Args:
        watched: What is watched.
        vault: Where it goes.
        log: Takes lines for people.
        tell: Takes how far it is, whenever that changes.
    """

    def __init__(
        self,
        watched: Watched,
        vault: Vault,
        log: Log = lambda line: None,
        tell: Callable[[WatchStatus], None] = lambda status: None,
    ) -> None:
        self._watched, self._vault, self._log, self._tell = watched, vault, log, tell
        self._told: WatchStatus | None = None
        self._known = KnownFiles()
        self._settled: set[bytes] = set()
        self._waiting: set[bytes] = set()
        self._damaged: set[bytes] = set()
        self._previous = ""
        self._complete = 0
        self._shipped_at = float("-inf")
        self._rescan, self._absent = True, False
        self.shipped = 0

    def run(self, stop: threading.Event) -> None:
        """Watch until told to stop.

        Raises:
            RefusedByPolicy: This writer was revoked.
            IntegrityError: The vault is not what it was.
            OutsideSystemError: The kernel gives no watches.
        """
        self._patiently(self._learn, stop)
        with FolderEvents(self._watched.root) as events:
            scanned = time.monotonic()
            while not stop.is_set():
                began = time.time_ns()
                if self._rescan or time.monotonic() - scanned >= self._watched.scan_seconds:
                    if not self._scan(events):
                        self._say_how_far()
                        stop.wait(_LOOK_SECONDS)
                        continue
                    scanned = time.monotonic()
                    self._complete_stores()
                self._take(events.read(_LOOK_SECONDS))
                self._patiently(partial(self._ship, began), stop, events)
                self._say_how_far()

    def _say_how_far(self) -> None:
        waiting = len(self._waiting | self._settled)
        status = WatchStatus(os.getpid(), not self._absent, self.shipped, waiting, self._complete / 1e9)
        if status != self._told:
            self._told = status
            self._tell(status)

    def _learn(self) -> None:
        """Ask the vault what it has: the newest point's files, and what was shipped since."""
        watched = self._watched
        holding = [each for each in self._vault.points(watched.service) if each.source(watched.source)]
        if holding:
            self._known.take_entries(self._vault.entries(holding[-1], watched.source))
        since = holding[-1].started - _MARGIN if holding else None
        shipments = self._vault.shipments(watched.service, watched.source, since)
        for shipment in shipments:
            self._known.take_shipment(shipment)
        if shipments:
            self._previous = shipments[-1].name
        self._log(f"watching {os.fsdecode(watched.root)}; {len(shipments)} shipments since the newest point")

    def _scan(self, events: FolderEvents) -> bool:
        """Look at everything, and watch every folder; return whether the folder is there."""
        self._rescan = False
        self._damaged.clear()  # they may have been put right
        folders = [b""]
        while folders:
            folder = folders.pop()
            try:
                events.add(folder)
            except OutsideSystemError as error:
                self._log(str(error))
            except OSError as error:
                if not folder:
                    self._say_absent(error)
                    return False
                continue
            folders += self._list(folder)
        self._absent = False
        return True

    def _list(self, folder: bytes) -> Iterable[bytes]:
        """Note files that are new in a folder; return the folders in it."""
        inside = []
        try:
            with os.scandir(joined(self._watched.root, folder)) as found:
                for each in found:
                    path = joined(folder, each.name)
                    if not is_kept(path):
                        continue
                    if each.is_dir(follow_symlinks=False):
                        inside.append(path)
                    elif each.is_file(follow_symlinks=False):
                        status = each.stat(follow_symlinks=False)
                        if (path, status.st_size, status.st_mtime_ns) not in self._known:
                            self._waiting.add(path)
        except FileNotFoundError:
            return []
        except OSError as error:
            self._log(f"{os.fsdecode(folder) or '.'} cannot be read: {error.strerror}")
        return inside

    def _say_absent(self, error: OSError) -> None:
        if not self._absent:
            self._log(f"{os.fsdecode(self._watched.root)} cannot be watched: {error.strerror}")
        self._absent = self._rescan = True

    def _take(self, seen: Seen) -> None:
        self._rescan |= seen.scan
        self._settled |= {path for path in seen.settled if is_kept(path)}
        self._waiting |= {path for path in seen.appeared if is_kept(path)}

    def _complete_stores(self) -> None:
        """Bring what a store missed; one that is still away gets it after the next scan."""
        try:
            self._vault.complete_shipments(self._watched.service, self._watched.source)
        except _FATAL:
            raise
        except CofferError as error:
            self._log(str(error))

    def _ship(self, began: int) -> None:
        """Ship what is whole; what is not stays waiting. Say now and then that all is shipped, though nothing is new.

        Args:
            began: Nanoseconds since the epoch: what had settled by then was seen, unless something was missed.
        """
        batch: list[tuple[ShippedFile, bytes]] = []
        size = 0
        for path in sorted((self._waiting - self._damaged) | self._settled):
            for part, content in self._open(path):
                if size + len(content) > PART_SIZE or len(batch) >= _MOST_FILES:
                    self._put(batch, self._complete)
                    batch, size = [], 0
                batch.append((part, content))
                size += len(content)
        done = not self._rescan and not (self._waiting - self._damaged - {part.path for part, _ in batch})
        idle = time.monotonic() - self._shipped_at >= self._watched.scan_seconds
        if batch or (done and idle):
            self._put(batch, began if done else self._complete)

    def _open(self, path: bytes) -> Iterator[tuple[ShippedFile, bytes]]:
        watched = self._watched
        try:
            found = open_upload(
                watched.root, path, settled=path in self._settled, settle_seconds=watched.settle_seconds
            )
        except (OSError, EOFError) as error:
            self._leave(path, State.DAMAGED, f"cannot be read: {error}")
            return
        if isinstance(found, State):
            self._leave(path, found)
            return
        try:
            if found.file.version in self._known:
                self._leave(path, State.GONE)
                return
            yield from found.parts()
        except (OSError, EOFError) as error:
            self._leave(path, State.DAMAGED, f"cannot be read: {error}")
        finally:
            os.close(found.descriptor)

    def _leave(self, path: bytes, state: State, why: str = "is not what its name says") -> None:
        self._settled.discard(path)
        if state is State.GONE:
            self._waiting.discard(path)
            self._damaged.discard(path)
            return
        self._waiting.add(path)
        if state is State.DAMAGED and path not in self._damaged:
            self._damaged.add(path)
            self._log(f"{os.fsdecode(path)} {why}: it is not shipped")

    def _put(self, batch: Sequence[tuple[ShippedFile, bytes]], complete_ns: int) -> None:
        files = [part for part, _ in batch]
        name, lacking = self._vault.ship(
            self._watched.service,
            self._watched.source,
            files,
            b"".join(content for _, content in batch),
            complete_ns=complete_ns,
            previous=self._previous,
        )
        if lacking is not None:
            self._log(str(lacking))
        self._previous, self._complete, self._shipped_at = name, complete_ns, time.monotonic()
        for part in files:
            self._damaged.discard(part.path)
            if part.offset + part.length == part.size:
                self._known.add(part.version)
                self._waiting.discard(part.path)
                self._settled.discard(part.path)
                self.shipped += 1
        if files:
            self._log(f"shipped {len(files)} files of {sum(each.length for each in files)} bytes")

    def _patiently(self, action: Callable[[], None], stop: threading.Event, events: FolderEvents | None = None) -> None:
        """Do something until it succeeds, with pauses that grow; meanwhile events are still taken."""
        pause = _FIRST_PAUSE
        while not stop.is_set():
            try:
                action()
                return
            except _FATAL:
                raise
            except CofferError as error:
                self._log(f"{error}; trying again in {pause:.0f} s")
            if events is None:
                stop.wait(pause)
            else:
                self._take_for(events, pause, stop)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _take_for(self, events: FolderEvents, seconds: float, stop: threading.Event) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not stop.is_set():
            self._take(events.read(min(left, _LOOK_SECONDS)))
