"""Coffer as people run it: `coffer backup`, `coffer restore`, `coffer wal`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from bench.postgres.cluster import DATABASE, BenchServer
from bench.postgres.rows import Row
from bench.postgres.tools import Tool
from bench.vault.measuring import Command
from coffer.keys import Identity
from coffer.recovery.wal_server import WalServer
from coffer.sources.postgres.wal_fetch import WalFetcher
from coffer.vault.compression import DEFAULT
from coffer.vault.reader import VaultReader
from coffer.vault.stores import open_store

_SERVICE = "bench"


class Coffer(Tool):
    """`coffer` beside this Python, run by whoever runs the bench."""

    name = "coffer"

    def __init__(self, server: BenchServer, folder: Path) -> None:
        super().__init__(server, folder)
        self.settings = f"{version('coffer')}, zstd {DEFAULT.level}, AES-256-GCM, recipients by X25519 + ML-KEM-768"
        self._points: dict[Row, str] = {}
        self._store = ("--store", f"file://{self.repository}")
        self._identity = self.state / "identity"
        with server.connect() as connection:
            row = connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
        assert row
        self._cluster = str(row[0])

    def create(self) -> Sequence[Command]:
        recipient, writer = f"{self._identity}.pub", str(self.state / "writer")
        return (
            self._coffer("keygen", "--out", str(self._identity)),
            self._coffer("vault", "init", *self._store, "--recipient", recipient, "--writer", writer),
        )

    def backup(self, row: Row) -> Command:
        kind = "full" if row is Row.FULL else "incremental"
        source = f"postgres:{self.server.conninfo(DATABASE)}"
        words = ["--writer", str(self.state / "writer"), "--service", _SERVICE, "--kind", kind, "--source", source]
        return self._coffer("backup", *self._store, *words)

    def after_backup(self, row: Row, output: str) -> None:
        self._points[row] = output.split()[-1]

    def restore(self, row: Row, target: Path) -> Command:
        point = self._points[Row.FULL if row is Row.RESTORE_FULL else Row.TEN]
        return self._restore(point, target)

    def archive(self, source: Path, names: Sequence[str]) -> Command:
        config = self._wal_config("push", writer_file=str(self.state / "writer"))
        coffer = self._coffer("wal", "push").argv
        line = f'{" ".join(coffer)} "{source}/$name" --config {config}'
        return self._loop(names, line)

    def fetch(self, names: Sequence[str], target: Path) -> Command:
        config = self._wal_config("fetch", identity_file=str(self._identity))
        coffer = self._coffer("wal", "fetch").argv
        line = f'{" ".join(coffer)} "$name" "{target}/$name" --config {config}'
        return self._loop(names, line)

    def restore_for(self, lsn: str, target: Path) -> Command:
        return self._restore("latest", target, "--lsn", lsn)

    @contextmanager
    def recovering(self, lsn: str, target: Path) -> Iterator[Mapping[str, str]]:
        reader = VaultReader.open([open_store(self._store[1])], Identity.load(self._identity))
        fetcher = WalFetcher(reader, self._cluster, system=self._cluster)
        folder = target.with_name(f"{target.name}.wal")
        with WalServer(fetcher, folder, self.server.user) as wal:
            yield {"restore_command": wal.restore_command}

    @property
    def receiving(self) -> Command:
        """`coffer wal receive`."""
        config = self._wal_config(
            "receive", writer_file=str(self.state / "writer"), conninfo=self.server.conninfo(DATABASE), slot="bench"
        )
        return self._coffer("wal", "receive", "--config", str(config))

    def _restore(self, point: str, target: Path, *words: str) -> Command:
        owner = ("--user", self.server.user) if os.geteuid() == 0 else ()
        where = ("--to", str(target), "--identity", str(self._identity))
        return self._coffer("restore", point, *self._store, *where, *owner, *words)

    def _loop(self, names: Sequence[str], line: str) -> Command:
        script = f'set -e; for name in "$@"; do {line}; done'
        return Command(["bash", "-c", script, "bench", *names], {"PYTHONDONTWRITEBYTECODE": ""})

    def _wal_config(self, name: str, **values: str) -> Path:
        path = self.state / f"{name}.toml"
        every: dict[str, object] = {"stores": [self._store[1]], "cluster": self._cluster, **values}
        path.touch(0o600)
        path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in every.items()))
        return path

    @staticmethod
    def _coffer(*words: str) -> Command:
        program = str(Path(sys.executable).with_name("coffer"))
        return Command((program, *words), {"PYTHONDONTWRITEBYTECODE": ""})
