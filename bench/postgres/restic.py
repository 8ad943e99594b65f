"""restic inside pg_backup_start and pg_backup_stop, as people use it for PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.postgres.cluster import BenchServer
from bench.postgres.rows import Row
from bench.postgres.tools import Tool
from bench.vault.measuring import Command
from bench.vault.restic_build import find_restic

_LEFT_OUT = ("pg_wal/*", "pg_replslot/*", "pg_stat_tmp/*", "pg_dynshmem/*", "postmaster.pid", "postmaster.opts")


class Restic(Tool):
    """restic; WAL is not its business."""

    name = "restic"
    rows = frozenset({Row.FULL, Row.TENTH, Row.ONE, Row.TEN, Row.RESTORE_FULL, Row.RESTORE_LAST})

    def __init__(self, server: BenchServer, folder: Path) -> None:
        super().__init__(server, folder)
        found, version = find_restic()
        self.settings = f"{version}, --compression fastest --no-scan --pack-size 64 --read-concurrency 4"
        self._program = self.state / "restic"
        shutil.copyfile(found, self._program)
        self._program.chmod(0o755)
        (self.state / "password").write_text("a password of a bench\n")
        self._environment = {
            "RESTIC_REPOSITORY": str(self.repository),
            "RESTIC_PASSWORD_FILE": str(self.state / "password"),
            "RESTIC_CACHE_DIR": str(self.state / "cache"),
            "RESTIC_COMPRESSION": "fastest",
            "RESTIC_PACK_SIZE": "64",
            "RESTIC_READ_CONCURRENCY": "4",
        }
        self.give()

    def create(self) -> Sequence[Command]:
        return (self.run(self._program, "init", "--quiet", environment=self._environment),)

    def backup(self, row: Row) -> Command:
        left_out = " ".join(f"--exclude '{self.server.data}/{each}'" for each in _LEFT_OUT)
        backup = f"{self._program} backup --quiet --tag {row.value}"
        data = self.beside_backup(f"cd {self.server.data}; {backup} --no-scan {left_out} .")
        *words, script, name = data.argv
        label = f"cd {self.state}; {backup}-label backup_label"
        return Command([*words, f"{script}; {label}", name], {**data.environment, **self._environment}, Path("/"))

    def restore(self, row: Row, target: Path) -> Command:
        tag = Row.FULL.value if row is Row.RESTORE_FULL else Row.TEN.value
        restore = f"{self._program} restore --quiet latest --target {target}"
        command = self.shell(f"{restore} --tag {tag}; {restore} --tag {tag}-label; chmod 700 {target}")
        return Command(command.argv, {**command.environment, **self._environment}, Path("/"))
