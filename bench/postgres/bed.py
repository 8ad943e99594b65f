"""One tool in one round: how each row is measured, and proven."""

from __future__ import annotations

import filecmp
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.postgres.checking import Hashes, check_cluster, check_restored, wait_for_query
from bench.postgres.cluster import restored_server
from bench.postgres.results import Measurement
from bench.postgres.rows import BACKUPS, Row
from bench.postgres.tools import Tool
from bench.vault.measuring import Command, Cost, drop_caches, measure, run, wait_for_quiet
from coffer.errors import StepFailed
from coffer.sources.postgres.programs import own

_SECONDS = 1800


@dataclass(frozen=True)
class Log:
    """What was written after the last backup.

    Attributes:
        before: Segments archived since the last incrementals began.
        names: The segments of the rows about WAL.
        lsn: Position right behind the marker.
        marker: What the marker's row holds.
    """

    before: Sequence[str]
    names: Sequence[str]
    lsn: str
    marker: int


class Bed:
    """A tool and all that is done to it in a round.

    Args:
        tool: The tool; its repository is empty.
        folder: For what is restored; beside the tool's own.
        turn: Which round.
        patience: Seconds to wait for a quiet machine before each command.
        prove_all: Check every restored cluster, else only the last.
    """

    def __init__(self, tool: Tool, folder: Path, turn: int, *, patience: float, prove_all: bool) -> None:
        self.tool, self._folder, self._turn = tool, folder, turn
        self._patience, self._prove_all = patience, prove_all
        self._target = folder / "target"
        for command in tool.create():
            run(command)
        tool.server.drain()

    @property
    def major(self) -> int:
        """Version of PostgreSQL."""
        return self.tool.server.major

    def backup(self, row: Row) -> Measurement:
        """Measure a backup."""
        before = self.tool.stored()
        self.tool.server.checkpoint()
        with self.tool.archiving():
            cost = self._measure(self.tool.backup(row), self.tool.folder)
        self.tool.after_backup(row, cost.output)
        self.tool.server.drain()
        return self._found(row, cost, stored=self.tool.stored() - before)

    def restore(self, row: Row, expected: Hashes) -> Measurement:
        """Measure a restore; what came back is started and checked."""
        self._clear()
        try:
            cost = self._measure(self.tool.restore(row, self._target), self._folder)
            proven = check_restored(self._target, self.tool.server, expected) if self._prove_all else ""
            return self._found(row, cost, proven)
        finally:
            self._clear()

    def archive(self, log: Log) -> Measurement:
        """Measure the archiving of segments, after those before them, which are not measured."""
        data = self._like_data(log)
        if log.before:
            _mark_ready(data, log.before)
            run(self.tool.archive(data, log.before), timeout=_SECONDS)
        _mark_ready(data, log.names)
        return self._found(Row.ARCHIVE, self._measure(self.tool.archive(data, log.names), self.tool.folder))

    def fetch(self, log: Log) -> Measurement:
        """Measure how segments come back; every byte is compared."""
        data, target = self._like_data(log), self._folder / "fetched"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        own(target, self.tool.server.user)
        try:
            cost = self._measure(self.tool.fetch(data, log.names, target), self._folder)
            for name in log.names:
                if not filecmp.cmp(target / name, self.tool.server.collected / name, shallow=False):
                    raise StepFailed(f"segment {name} came back different")
            return self._found(Row.FETCH, cost, "bytes equal")
        finally:
            shutil.rmtree(target)

    def first_query(self, log: Log, expected: Hashes) -> Measurement:
        """Measure from the start of a restore to the first query answered right after all segments are replayed."""
        self._clear()
        command = self.tool.restore_for(log.lsn, self._target)
        self._make_ready()
        began = time.monotonic()
        try:
            cost = measure(command, timeout=_SECONDS)
            with self.tool.recovering(log.lsn, self._target) as settings:
                server = restored_server(self._target, self.tool.server, settings)
                server.launch()
                try:
                    wait_for_query(server, log.marker, timeout=_SECONDS)
                    seconds = time.monotonic() - began
                    proven = check_cluster(server, expected)
                finally:
                    server.stop(immediate=True)
            return self._measurement(Row.FIRST_QUERY, seconds, cost, 0, proven)
        finally:
            self._clear()

    def _measure(self, command: Command, synced: Path) -> Cost:
        self._make_ready()
        served, helped = self.tool.server.processor_seconds(), self.tool.helpers()
        cost = measure(command, synced=[synced], timeout=_SECONDS)
        served = self.tool.server.processor_seconds() - served
        helping = self.tool.helpers()
        helped_seconds = helping.seconds - helped.seconds
        foreign = cost.foreign - (served + helped_seconds) / cost.seconds / (os.cpu_count() or 1)
        return replace(
            cost,
            foreign=max(0.0, foreign),
            server=served,
            user=cost.user + helped_seconds,
            peak=cost.peak + helping.peak,
        )

    def _make_ready(self) -> None:
        wait_for_quiet(self._patience)
        drop_caches()

    def _like_data(self, log: Log) -> Path:
        """Return a folder that is to an archiver what a data folder is in which PostgreSQL calls it."""
        server, data = self.tool.server, self._folder / "like-data"
        if data.exists():
            return data
        (data / "pg_wal" / "archive_status").mkdir(parents=True)
        (data / "global").mkdir()
        for name in ("PG_VERSION", "global/pg_control"):
            shutil.copy(server.data / name, data / name)
        (data / "postmaster.pid").write_text(f"{server.pid}\n")
        for name in (*log.before, *log.names):
            os.link(server.collected / name, data / "pg_wal" / name)
        own(data, server.user)
        return data

    def _clear(self) -> None:
        for path in self._folder.glob(f"{self._target.name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _found(self, row: Row, cost: Cost, proven: str = "", *, stored: int = 0) -> Measurement:
        return self._measurement(row, cost.seconds, cost, stored, proven)

    def _measurement(self, row: Row, seconds: float, cost: Cost, stored: int, proven: str) -> Measurement:
        tool = self.tool
        return Measurement(
            tool.name, tool.server.major, row, self._turn, seconds, cost.cpu, cost.peak, cost.foreign, stored, proven
        )


def expected_of(row: Row, states: dict[Row, Hashes]) -> Hashes:
    """Return the rows that a restore must bring back."""
    return states[Row.FULL if row is Row.RESTORE_FULL else BACKUPS[-1]]


def _mark_ready(data: Path, names: Sequence[str]) -> None:
    """Do as PostgreSQL does with complete segments that nobody has archived yet."""
    for name in names:
        (data / "pg_wal" / "archive_status" / f"{name}.ready").touch()
