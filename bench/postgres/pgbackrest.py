"""pgBackRest as Debian packages it, at its defaults and tuned; encrypted both times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.postgres.cluster import BenchServer
from bench.postgres.installing import program
from bench.postgres.rows import Row
from bench.postgres.tools import Tool
from bench.vault.measuring import Command
from coffer.processes import run

_TUNED = {
    "compress-type": "zst", "compress-level": "1", "process-max": "2", "repo1-bundle": "y", "start-fast": "y",
}  # fmt: skip


class PgBackRest(Tool):
    """pgBackRest.

    Args:
        server: The cluster.
        folder: The tool's own.
        tuned: Both cores, zstd 1, small files in bundles, no wait for a checkpoint.
    """

    def __init__(self, server: BenchServer, folder: Path, *, tuned: bool) -> None:
        super().__init__(server, folder)
        self._program = program("pgbackrest")
        version = run([self._program, "version"], timeout=30).stdout.split()[-1]
        self.name = "pgbackrest tuned" if tuned else "pgbackrest"
        what = ", ".join(f"{key}={value}" for key, value in _TUNED.items()) if tuned else "defaults (gzip 6, 1 process)"
        self.settings = f"{version}, {what}, AES-256-CBC"
        self._names: dict[int, str] = {}
        self._config = self.state / "pgbackrest.conf"
        self._configure(_TUNED if tuned else {})
        self.give()

    def create(self) -> Sequence[Command]:
        return (self._run("stanza-create"),)

    @contextmanager
    def archiving(self) -> Iterator[None]:
        with self.server.archiving_also([self._program, *self._options(), "archive-push"]):
            yield

    def backup(self, row: Row) -> Command:
        return self._run("backup", f"--type={'full' if row is Row.FULL else 'incr'}")

    def after_backup(self, row: Row, output: str) -> None:
        if row is Row.FULL:
            folders = [each.name for each in (self.repository / "backup" / "main").iterdir() if each.name.endswith("F")]
            self._names[0] = max(folders)

    def restore(self, row: Row, target: Path) -> Command:
        which = [f"--set={self._names[0]}"] if row is Row.RESTORE_FULL else []
        return self._run("restore", f"--pg1-path={target}", *which)

    def archive(self, data: Path, names: Sequence[str]) -> Command:
        return self.one_by_one(names, f'{self._line("archive-push")} "{data}/pg_wal/$name"')

    def fetch(self, data: Path, names: Sequence[str], target: Path) -> Command:
        return self.one_by_one(names, f'{self._line("archive-get")} "$name" "{target}/$name"')

    def restore_for(self, lsn: str, target: Path) -> Command:
        words = ["--type=lsn", f"--target={lsn}", "--target-action=promote"]
        return self._run("restore", f"--pg1-path={target}", *words)

    def _configure(self, settings: dict[str, str]) -> None:
        spool, locks = self.state / "spool", self.state / "locks"
        lines = {
            "repo1-path": str(self.repository),
            "repo1-cipher-type": "aes-256-cbc",
            "repo1-cipher-pass": "a passphrase of a bench",
            "repo1-retention-full": "9",
            "spool-path": str(spool),
            "lock-path": str(locks),
            "log-path": str(self.state),
            "log-level-file": "off",
            "log-level-console": "warn",
            **settings,
        }
        stanza = {
            "pg1-path": str(self.server.data),
            "pg1-port": str(self.server.port),
            "pg1-socket-path": str(self.server.socket_dir),
            "pg1-user": self.server.superuser,
        }
        text = "[global]\n" + "".join(f"{key}={value}\n" for key, value in lines.items())
        text += "\n[main]\n" + "".join(f"{key}={value}\n" for key, value in stanza.items())
        self._config.write_text(text)
        for folder in (spool, locks):
            folder.mkdir()

    def _options(self) -> list[str]:
        return [f"--config={self._config}", "--stanza=main"]

    def _line(self, command: str) -> str:
        return " ".join([self._program, *self._options(), command])

    def _run(self, command: str, *words: str) -> Command:
        return self.run(self._program, *self._options(), command, *words)
