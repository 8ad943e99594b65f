"""What stock programs can do: PostgreSQL 18's own incremental backups, and the floor of tar, zstd and openssl."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.postgres.cluster import BenchServer
from bench.postgres.installing import program
from bench.postgres.rows import BACKUPS, Row
from bench.postgres.tools import Tool, step_of
from bench.vault.measuring import Command, run

_LEFT_OUT = ("pg_wal/*", "pg_replslot/*", "pg_stat_tmp/*", "pg_dynshmem/*", "postmaster.pid", "postmaster.opts")


class Stock(Tool):
    """A pipe through zstd and openssl into one file for each backup and segment."""

    def __init__(self, server: BenchServer, folder: Path) -> None:
        super().__init__(server, folder)
        for each in ("zstd", "openssl"):
            program(each)
        (self.state / "password").write_text("a password of a bench\n")
        (self.repository / "wal").mkdir()
        crypt = f"openssl enc -aes-256-ctr -pbkdf2 -iter 1000 -pass file:{self.state / 'password'}"
        self.seal = f"zstd -q -1 -T2 | {crypt}"
        self.open = f"{crypt} -d -in"
        self.give()

    def path(self, step: int) -> Path:
        """Return a backup's file."""
        return self.repository / f"{step}.tar.zst.enc"

    def unpack(self, step: int, target: Path) -> str:
        """Return what unpacks a backup into a folder that is there."""
        return f"{self.open} {self.path(step)} | zstd -q -d | tar -x -C {target}"


class Floor(Stock):
    """tar, zstd and openssl: no catalogue, no verification, no incrementals; WAL is copied as it is."""

    name = "tar, zstd, openssl"
    settings = "zstd -1 -T2, AES-256-CTR; segments by cp, neither packed nor encrypted"
    rows = frozenset({Row.FULL, Row.RESTORE_FULL, Row.ARCHIVE, Row.FETCH})

    def backup(self, row: Row) -> Command:
        left_out = " ".join(f"--exclude './{each}'" for each in _LEFT_OUT)
        return self.beside_backup(f"tar -c -C {self.server.data} {left_out} . | {self.seal} > {self.path(0)}")

    def restore(self, row: Row, target: Path) -> Command:
        label = f"cp {self.state / 'backup_label'} {target}"
        return self.shell(f"mkdir -m 700 {target}; {self.unpack(0, target)}; {label}")

    def archive(self, data: Path, names: Sequence[str]) -> Command:
        return self.one_by_one(names, f'cp "{data}/pg_wal/$name" {self.repository}/wal/')

    def fetch(self, data: Path, names: Sequence[str], target: Path) -> Command:
        return self.one_by_one(names, f'cp "{self.repository}/wal/$name" {target}/')


class BaseBackup(Stock):
    """pg_basebackup and pg_combinebackup."""

    name = "pg_basebackup"
    settings = "18, tar through zstd -1 -T2 and AES-256-CTR; pg_combinebackup --link; segments the same way"

    def backup(self, row: Row) -> Command:
        step = step_of(row)
        earlier = f"--incremental={self._manifest(step - 1)}" if step else ""
        backup = f"{self.server.programs.path('pg_basebackup')} -D - -F t -X none -c fast {earlier}"
        return self.shell(f"{backup} | {self.seal} > {self.path(step)}")

    def after_backup(self, row: Row, output: str) -> None:
        step = step_of(row)
        unpack = f"{self.open} {self.path(step)} | zstd -q -d | tar -x -O backup_manifest > {self._manifest(step)}"
        run(self.shell(unpack))

    def restore(self, row: Row, target: Path) -> Command:
        return self.shell(self._restore(step_of(row), target))

    def archive(self, data: Path, names: Sequence[str]) -> Command:
        return self.one_by_one(names, f'cat "{data}/pg_wal/$name" | {self.seal} > "{self.repository}/wal/$name"')

    def fetch(self, data: Path, names: Sequence[str], target: Path) -> Command:
        return self.one_by_one(names, self._fetch("$name", f"{target}/$name"))

    def restore_for(self, lsn: str, target: Path) -> Command:
        return self.shell(f"{self._restore(len(BACKUPS) - 1, target)}; touch {target}/recovery.signal")

    @contextmanager
    def recovering(self, lsn: str, target: Path) -> Iterator[Mapping[str, str]]:
        fetch = f'test -e "{self.repository}/wal/%f" || exit 1; {self._fetch("%f", "%p")}'
        yield {
            "restore_command": f"bash -o pipefail -c {shlex.quote(fetch)}",
            "recovery_target_lsn": lsn,
            "recovery_target_action": "promote",
        }

    def _fetch(self, name: str, target: str) -> str:
        return f'{self.open} "{self.repository}/wal/{name}" | zstd -q -d > "{target}"'

    def _restore(self, last: int, target: Path) -> str:
        if not last:
            return f"mkdir -m 700 {target}; {self.unpack(0, target)}"
        parts = [target.with_name(f"{target.name}.{step}") for step in range(last + 1)]
        lines = [f"mkdir -m 700 {part}; {self.unpack(step, part)}" for step, part in enumerate(parts)]
        combine = self.server.programs.path("pg_combinebackup")
        folders = " ".join(map(str, parts))
        return f"{'; '.join(lines)}; {combine} --no-sync --link -o {target} {folders}; rm -rf {folders}"

    def _manifest(self, step: int) -> Path:
        return self.state / f"{step}.manifest"
