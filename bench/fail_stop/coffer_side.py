"""Coffer: a vault in a folder, `coffer wal fetch` by the line that `coffer wal setup` prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.fail_stop.bed import SmallServer
from bench.fail_stop.cases import Case
from coffer.keys import Identity, Recipient, WriterCredentials, generate_identity
from coffer.recovery.restore import restore_postgres
from coffer.recovery.restore_command import PAST_THE_END, restore_command
from coffer.recovery.target import RestoreTarget
from coffer.sources.postgres import PostgresSource
from coffer.sources.postgres.wal_commands import client_words, runtime_folder
from coffer.sources.postgres.wal_push import WalPusher
from coffer.vault.capture import Kind
from coffer.vault.creation import create_vault
from coffer.vault.points import Point
from coffer.vault.reader import VaultReader
from coffer.vault.stores import open_store
from coffer.vault.writer import VaultWriter

# Root reads whatever it likes unless it is told not to.
_OBEDIENT = "setpriv --bounding-set -dac_override,-dac_read_search " if os.geteuid() == 0 else ""


class CofferSide:
    """Coffer with a vault of its own in a folder."""

    name = "Coffer"
    apart = bool(_OBEDIENT)

    def __init__(self, folder: Path) -> None:
        self._folder, self._store = folder, folder / "store"
        generate_identity(folder / "identity")
        generate_identity(folder / "other")
        self._stores = [open_store(f"file://{self._store}")]
        create_vault(self._stores, [Recipient.load(folder / "identity.pub")], folder / "writer")
        self._writer = VaultWriter.open(self._stores, WriterCredentials.load(folder / "writer"))
        self._point: Point | None = None
        self.cluster = ""
        self._user = ""

    def back_up(self, server: SmallServer) -> None:
        """Take a full point."""
        source, self._user = PostgresSource("postgres", server.conninfo()), server.user
        with self._writer.begin_point(service="bench", kind=Kind.FULL, started=datetime.now(UTC)) as builder:
            summary = builder.capture(source)
            source.prove_wal(self._writer, summary.facts)
            self._point = builder.commit({})
        self.cluster = str(summary.facts["cluster"])

    def archive(self, collected: Path, names: Sequence[str]) -> None:
        """Push as `coffer wal push` does."""
        pusher = WalPusher(self._writer)
        for name in names:
            pusher.push(collected / name)

    def restore(self, data: Path, command: str) -> None:
        """Restore the point."""
        reader = VaultReader.open(self._stores, Identity.load(self._folder / "identity"))
        assert self._point is not None
        restore_postgres(reader, self._point, data, RestoreTarget(), restore_command=command, user=self._user)

    def line(self, case: Case) -> str:
        """Return what `coffer wal setup` prints."""
        config = self._config(case)
        words = ["%f", "%p", "--past-the-end", str(PAST_THE_END)]
        folder = runtime_folder(config, str(self._folder / "spool"))
        coffer = Path(sys.executable).with_name("coffer")
        return _OBEDIENT + restore_command(client_words(folder, "fetch", coffer, config, words), PAST_THE_END)

    def objects(self, segment: str) -> list[Path]:
        """Return the objects of a segment."""
        folder = self._store / "wal" / self.cluster / segment
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def _config(self, case: Case) -> Path:
        store = self._folder / "elsewhere" if case is Case.UNREACHABLE else self._store
        identity = self._folder / ("other" if case is Case.WRONG_KEY else "identity")
        path = self._folder / f"{case.name.lower()}.toml"
        path.write_text(
            f'stores = ["file://{store}"]\nidentity_file = "{identity}"\ncluster = "{self.cluster}"\n'
            f'spool = "{self._folder}/spool"\nidle_seconds = 5\n'
        )
        path.chmod(0o600)
        return path
