"""Coffer as people run it: `coffer backup`, `coffer restore`, `coffer wal`."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import psutil

from bench.postgres.cluster import DATABASE, BenchServer
from bench.postgres.rows import Row
from bench.postgres.tools import Helpers, Tool
from bench.vault.measuring import Command
from coffer.keys import Identity
from coffer.recovery.wal_server import WalServer
from coffer.sources.postgres.wal_commands import PAST_THE_END, client_words, runtime_folder
from coffer.sources.postgres.wal_fetch import WalFetcher
from coffer.vault.compression import DEFAULT
from coffer.vault.reader import VaultReader
from coffer.vault.stores import open_store

_SERVICE = "bench"
_PROGRAM = Path(sys.executable).with_name("coffer")
_BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}


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

    def archive(self, data: Path, names: Sequence[str]) -> Command:
        config = self._wal_config("push", writer_file=str(self.state / "writer"))
        return self._one_by_one(data, names, "push", config, ['"pg_wal/$name"'])

    def fetch(self, data: Path, names: Sequence[str], target: Path) -> Command:
        config = self._wal_config("fetch", identity_file=str(self._identity))
        past_the_end = f"--past-the-end {PAST_THE_END}"
        return self._one_by_one(data, names, "fetch", config, ['"$name"', f'"{target}/$name"', past_the_end])

    def helpers(self) -> Helpers:
        seconds, peak = 0.0, 0
        for process in self._residents():
            with suppress(psutil.Error):
                times = process.cpu_times()
                seconds += times.user + times.system
                peak += process.memory_info().rss
        return Helpers(seconds, peak)

    def remove(self) -> None:
        for process in self._residents():
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        super().remove()

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

    def _one_by_one(self, data: Path, names: Sequence[str], role: str, config: Path, words: Sequence[str]) -> Command:
        """Return a loop over the line that `coffer wal setup` prints, in the data folder as PostgreSQL calls it."""
        client = client_words(runtime_folder(config, None), role, _PROGRAM, config, [])
        line = " ".join([*map(shlex.quote, client), *words])
        return Command(["bash", "-c", f'set -e; for name in "$@"; do {line}; done', "bench", *names], _BYTECODE, data)

    def _residents(self) -> list[psutil.Process]:
        """Return the processes that `coffer wal` left running for this repository: they name its configuration."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if "stay" in words and any(word.startswith(f"{self.state}/") for word in words):
                found.append(process)
        return found

    def _wal_config(self, name: str, **values: str) -> Path:
        path = self.state / f"{name}.toml"
        every: dict[str, object] = {"stores": [self._store[1]], "cluster": self._cluster, **values}
        text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in every.items())
        if not path.exists() or path.read_text() != text:  # a resident ends when its configuration is touched
            path.touch(0o600)
            path.write_text(text)
        return path

    @staticmethod
    def _coffer(*words: str) -> Command:
        return Command((str(_PROGRAM), *words), _BYTECODE)
