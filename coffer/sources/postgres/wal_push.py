"""Puts a file of the log into an archive as PostgreSQL's archive_command does: all checks, then durable, then yes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from coffer.errors import NotInEveryStore, UsageError
from coffer.sources.postgres.wal import Segment, history_name, is_archive_name, is_segment
from coffer.sources.postgres.wal_archive import WalWriter, check_segment
from coffer.sources.postgres.wal_lineage import Lineage
from coffer.vault.capture import Fact


@dataclass(frozen=True)
class WalFileRead:
    """A file of pg_wal that passed every check.

    Attributes:
        name: Its name.
        cluster: The cluster's name in the archive.
        data: Its bytes.
        facts: What is noted beside it.
    """

    name: str
    cluster: str
    data: bytes
    facts: Mapping[str, Fact]


class WalPusher:
    """The archive of one cluster, for writing.

    Args:
        archive: Where the log goes.
        cluster: Its name there; default: the system identifier that the segments carry.
        system: Identifier that every segment must carry, where known.
        may_lack: How many stores may lack a file that is acknowledged all the same; 0: none.
        log: Takes lines for people.
    """

    def __init__(
        self,
        archive: WalWriter,
        *,
        cluster: str = "",
        system: str | None = None,
        may_lack: int = 0,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.archive, self._cluster, self._system, self._log = archive, cluster, system, log
        self._may_lack = may_lack
        self._lineages: dict[str, Lineage] = {}
        self._lock = threading.Lock()

    def push(self, path: Path) -> None:
        """Put a file durably into every store; the same bytes again are fine.

        Raises:
            UsageError: It is no file of the log, or cannot be read.
            IntegrityError: It is not what its name says, or other bytes are there under that name.
            UnsafeTarget: It is another cluster's.
            NotInEveryStore: Some stores have it.
        """
        file = self.read(path)
        with self.lenient():
            self.archive.put_wal(file.cluster, file.name, file.data, facts=file.facts)

    @contextlib.contextmanager
    def lenient(self) -> Iterator[None]:
        """Let a put count that reached as many stores as were promised."""
        try:
            yield
        except NotInEveryStore as error:
            if len(error.lacking) > self._may_lack:
                raise
            self._log(str(error))

    def read(self, path: Path) -> WalFileRead:
        """Read a file and check it; the history of its timeline is put before it. Raises as `push` does."""
        if not is_archive_name(path.name):
            raise UsageError(f"'{path.name}' is no file of the log")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path} cannot be read", detail=error.strerror or str(error)) from error
        if not is_segment(path.name):
            return WalFileRead(path.name, self._cluster or _system_beside(path), data, {})
        segment = Segment.parse(path.name, len(data))
        header = check_segment(segment, data, self._system)
        cluster = self._cluster or header.system
        with self._lock:
            lineage = self._lineages.setdefault(cluster, Lineage(self.archive, cluster, self._log))
            lineage.check(header)
            history = lineage.check_timeline(segment, path.parent)
            if history is not None:
                name = history_name(segment.timeline)
                self.archive.put_wal(cluster, name, history)
                lineage.names().add(name)
        return WalFileRead(path.name, cluster, data, header.facts())


def system_of(data: Path) -> str:
    """Return the identifier of the cluster in a data folder.

    Source: ControlFileData begins with it (src/include/catalog/pg_control.h).

    Raises:
        UsageError: There is none.
    """
    try:
        with (data / "global" / "pg_control").open("rb") as file:
            return str(int.from_bytes(file.read(8), "little"))
    except OSError as error:
        raise UsageError(f"{data} is no data folder of PostgreSQL", detail=error.strerror or str(error)) from None


def _system_beside(path: Path) -> str:
    """Return the identifier of the cluster in whose pg_wal a file lies: histories do not carry it."""
    try:
        return system_of(path.absolute().parent.parent)
    except UsageError:
        raise UsageError(
            f"{path.name} does not tell which cluster it is of", resolution="Name the 'cluster' in wal.toml"
        ) from None
