"""What a tool has to be able to do to be measured."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from bench.postgres.cluster import BenchServer
from bench.postgres.rows import BACKUPS, Row
from bench.vault.measuring import Command
from coffer.sources.postgres.programs import own


@dataclass(frozen=True)
class Helpers:
    """Processes of a tool that outlive its commands.

    Attributes:
        seconds: Processor seconds so far.
        peak: Bytes of memory, each at its highest moment.
    """

    seconds: float = 0.0
    peak: int = 0


class Tool:
    """A tool with one cluster and an empty repository.

    Args:
        server: The cluster.
        folder: The tool's own, made anew; belongs to PostgreSQL's account.

    Attributes:
        name: In tables.
        settings: Version and settings, in words.
        rows: What it can do.
    """

    name: str
    settings: str
    rows: frozenset[Row] = frozenset(Row)

    def __init__(self, server: BenchServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.repository = folder / "repository"
        self.state = folder / "state"
        shutil.rmtree(folder, ignore_errors=True)
        for each in (folder, self.repository, self.state):
            each.mkdir(parents=True)
            each.chmod(0o755)

    def create(self) -> Sequence[Command]:
        """Return what makes the repository."""
        return ()

    def archiving(self) -> AbstractContextManager[None]:
        """Have the server archive to the tool while the block runs, if a backup waits for that."""
        return nullcontext()

    def backup(self, row: Row) -> Command:
        """Return a backup: of everything, or of what changed since the one before."""
        raise NotImplementedError

    def after_backup(self, row: Row, output: str) -> None:
        """Remember what a later command needs; not measured."""

    def restore(self, row: Row, target: Path) -> Command:
        """Return what brings the full or the last incremental back."""
        raise NotImplementedError

    def archive(self, data: Path, names: Sequence[str]) -> Command:
        """Return what archives segments of `data/pg_wal`, one by one as PostgreSQL asks for it."""
        raise NotImplementedError

    def fetch(self, data: Path, names: Sequence[str], target: Path) -> Command:
        """Return what brings segments back, one by one as PostgreSQL asks for it in `data`."""
        raise NotImplementedError

    def helpers(self) -> Helpers:
        """Return what the processes have cost that stay behind the tool's commands."""
        return Helpers()

    def restore_for(self, lsn: str, target: Path) -> Command:
        """Return what restores the newest backup, to be replayed up to a position."""
        raise NotImplementedError

    @contextmanager
    def recovering(self, lsn: str, target: Path) -> Iterator[Mapping[str, str]]:
        """Yield settings that PostgreSQL needs to replay; what serves its log runs while the block does."""
        yield {}

    def stored(self) -> int:
        """Count the repository's bytes."""
        return sum(path.lstat().st_size for path in self.repository.rglob("*") if path.is_file())

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- for the tools -------------------------------------------------------------------------------------------

    def give(self) -> None:
        """Give the tool's folder to PostgreSQL's account."""
        own(self.folder, self.server.user)

    def run(self, *words: str | Path, environment: Mapping[str, str] | None = None) -> Command:
        """Return a command by PostgreSQL's account."""
        return Command(self.server.as_account(*words), {**self.server.environment(), **(environment or {})}, Path("/"))

    def shell(self, script: str, *words: str | Path) -> Command:
        """Return a script as a command; a failure anywhere in it, pipes included, is its failure."""
        return self.run("bash", "-c", f"set -euo pipefail; {script}", "bench", *words)

    def one_by_one(self, names: Sequence[str], line: str) -> Command:
        """Return a loop; `$name` is the segment."""
        return self.shell(f'for name in "$@"; do {line}; done', *names)

    def beside_backup(self, script: str) -> Command:
        """Return a script that runs while PostgreSQL is in a backup, which leaves its label in the state folder."""
        label, done = self.state / "backup_label", self.state / "done"
        session = "\n".join(
            [
                "\\set ON_ERROR_STOP on",
                "SELECT pg_backup_start('bench', true) \\g /dev/null",
                f"\\! bash -c {shlex.quote('set -euo pipefail; ' + script + '; touch ' + str(done))}",
                f"SELECT labelfile FROM pg_backup_stop(false) \\g {label}",  # noqa: S608 - a path of this bench
            ]
        )
        (self.state / "session.sql").write_text(session + "\n")
        psql = f"rm -f {done}; {self.server.programs.path('psql')} -X -q -A -t -f {self.state / 'session.sql'}"
        return self.shell(f"{psql}; test -e {done}")


def step_of(row: Row) -> int:
    """Return how many backups a row's state is behind the full."""
    return {Row.RESTORE_FULL: 0, Row.RESTORE_LAST: len(BACKUPS) - 1}.get(row, row.step or 0)
