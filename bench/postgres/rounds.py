"""The rounds: every row by every tool on the same data, in an order drawn anew for each row."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.postgres.bed import Bed, Log, expected_of
from bench.postgres.checking import Hashes, row_hashes
from bench.postgres.cluster import BenchServer
from bench.postgres.data import Data
from bench.postgres.results import Failure, Measurement, Results
from bench.postgres.rows import BACKUPS, PERCENT, SEGMENTS, Row
from bench.postgres.tools import Tool
from coffer.errors import CofferError
from coffer.sources.postgres.programs import own

Maker = Callable[[BenchServer, Path], Tool]


@dataclass(frozen=True)
class Subject:
    """A tool that shall be measured on one PostgreSQL.

    Attributes:
        name: In tables.
        major: Version of PostgreSQL.
        make: Makes it, with an empty repository.
        rounds: In how many of the first rounds: what is slow and steady need not be in all of them.
    """

    name: str
    major: int
    make: Maker
    rounds: int | None = None


@dataclass(frozen=True)
class Rules:
    """How it is measured.

    Attributes:
        patience: Seconds to wait for a quiet machine before each command.
        segments: How many WAL segments.
        rows: Which rows; what they need comes with them.
        prove_all: Check every restored cluster in every round; else all in the first and the replayed one in each.
    """

    patience: float = 30
    segments: int = SEGMENTS
    rows: Collection[Row] = tuple(Row)
    prove_all: bool = False


class Round:
    """One round over all subjects."""

    def __init__(
        self,
        turn: int,
        subjects: Sequence[Subject],
        data: Mapping[int, tuple[BenchServer, Data]],
        folder: Path,
        order: random.Random,
        rules: Rules,
        results: Results,
        tell: Callable[[str], None],
    ) -> None:
        self._turn, self._order, self._rules, self._results, self._tell = turn, order, rules, results, tell
        self._folder, self._data = folder, data
        for server, _ in data.values():
            server.forget_collected()
        self._beds: list[Bed] = []
        for subject in subjects:
            if subject.rounds is None or turn <= subject.rounds:
                self._make(subject)

    def run(self) -> None:
        """Do every row that is wanted, in order."""
        states: dict[int, dict[Row, Hashes]] = {major: {} for major in self._data}
        since: dict[int, str] = {}
        for row in BACKUPS:
            if row in PERCENT:
                for _, data in self._data.values():
                    data.change(PERCENT[row])
            if row is BACKUPS[-1]:
                since = {major: _newest(server) for major, (server, _) in self._data.items()}
            self._each(row, partial(Bed.backup, row=row))
            if row in (BACKUPS[0], BACKUPS[-1]):
                for major, (server, _) in self._data.items():
                    states[major][row] = row_hashes(server)
        for row in (Row.RESTORE_FULL, Row.RESTORE_LAST):
            if row in self._rules.rows:
                self._each(row, partial(_restore, row=row, states=states))
        if {Row.ARCHIVE, Row.FETCH, Row.FIRST_QUERY} & set(self._rules.rows):
            self._log_rows(since)

    def remove(self) -> None:
        """Remove the repositories."""
        for bed in self._beds:
            bed.tool.remove()

    def _log_rows(self, since: Mapping[int, str]) -> None:
        logs: dict[int, Log] = {}
        states: dict[int, Hashes] = {}
        for major, (server, data) in self._data.items():
            marker = time.time_ns()
            names, lsn = data.write_log(self._rules.segments, marker)
            before = [name for name in server.segments() if since[major] <= name < names[0]]
            logs[major], states[major] = Log(before, names, lsn, marker), row_hashes(server)
        self._each(Row.ARCHIVE, lambda bed: bed.archive(logs[bed.major]))
        self._each(Row.FETCH, lambda bed: bed.fetch(logs[bed.major]))
        if Row.FIRST_QUERY in self._rules.rows:
            self._each(Row.FIRST_QUERY, lambda bed: bed.first_query(logs[bed.major], states[bed.major]))

    def _make(self, subject: Subject) -> None:
        server, _ = self._data[subject.major]
        name = f"{subject.name.replace(' ', '-').replace(',', '')}-{subject.major}"
        target = self._folder / f"{name}.restored"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        own(target, server.user)
        try:
            tool = subject.make(server, self._folder / name)
            prove_all = self._rules.prove_all or self._turn == 1
            self._results.note("settings", {**self._results.extras.get("settings", {}), subject.name: tool.settings})
            self._beds.append(Bed(tool, target, self._turn, patience=self._rules.patience, prove_all=prove_all))
        except (CofferError, OSError) as error:
            self._failed(subject.name, subject.major, "create", error)

    def _each(self, row: Row, action: Callable[[Bed], Measurement]) -> None:
        """Let every tool do a row; one that fails is out of the round, the others go on."""
        for bed in self._order.sample(self._beds, len(self._beds)):
            if row not in bed.tool.rows:
                continue
            try:
                found = action(bed)
            except (CofferError, OSError) as error:
                self._failed(bed.tool.name, bed.major, row, error)
                self._beds.remove(bed)
                bed.tool.remove()
            else:
                self._results.add(found)
                self._tell(_line(found))

    def _failed(self, name: str, major: int, row: str, error: Exception) -> None:
        self._results.add(Failure(name, major, row, self._turn, str(error)[:1500]))
        self._tell(f"{self._turn}  {row:16} {name} on {major} FAILED: {error}")


def _restore(bed: Bed, row: Row, states: Mapping[int, dict[Row, Hashes]]) -> Measurement:
    return bed.restore(row, expected_of(row, states[bed.major]))


def _newest(server: BenchServer) -> str:
    return max(server.segments(), default="")


def _line(found: Measurement) -> str:
    stored = f"  {found.stored / 1e6:8.1f} MB" if found.row.step is not None else ""
    noise = "" if found.quiet else f"  noisy: others used {found.foreign:.0%}"
    who = f"{found.tool} on {found.major}"
    return (
        f"{found.round}  {found.row.value:16} {who:26} {found.seconds:7.2f} s  {found.cpu:7.2f} cpu-s  "
        f"{found.peak >> 20:5} MiB{stored}  {found.checked}{noise}"
    )
