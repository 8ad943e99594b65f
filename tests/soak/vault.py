"""The vault under test: two stores, two writers, three identities and a clock, made cheaply from one mould."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from coffer.keys import Identity, PrunerCredentials, Recipient, WriterCredentials, generate_identity
from coffer.vault.administration import VaultAdministration
from coffer.vault.creation import create_vault
from coffer.vault.stores.memory import MemoryStore
from tests.soak.actions import STORES

_SHARED_MEMORY = Path("/dev/shm")  # key files are made durable at every change; here that costs nothing


class Mould:
    """A new vault, made once: each sequence gets a copy of it."""

    def __init__(self) -> None:
        self.folder = Path(
            tempfile.mkdtemp(prefix="coffer-model-", dir=_SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None)
        )
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        stores = [MemoryStore() for _ in range(STORES)]
        self.identities = [generate_identity(self.folder / f"id{number}") for number in range(3)]
        create_vault(stores, [Recipient.load(self.folder / "id0.pub")], self.folder / "writer0", writer_name="writer0")
        VaultAdministration(stores, Identity.load(self.folder / "id0")).add_writer("writer1", self.folder / "writer1")
        self.objects = [dict(store.objects) for store in stores]
        self.identities = [Identity.load(self.folder / f"id{number}") for number in range(3)]
        self.writers = [WriterCredentials.load(self.folder / f"writer{number}") for number in range(2)]


@cache
def mould() -> Mould:
    """Return this process's mould."""
    return Mould()


class Vault:
    """One copy; a context manager that removes its folder."""

    def __init__(self) -> None:
        made = mould()
        self.folder = made.folder / f"copy-{id(self)}"
        self.folder.mkdir()
        self._offset = timedelta()
        self.stores = [self._store(objects) for objects in made.objects]
        self.writers = [replace(each, path=self.folder / f"writer{n}") for n, each in enumerate(made.writers)]
        self.identities = [self._identity(each, n) for n, each in enumerate(made.identities)]
        self.pruner = PrunerCredentials(made.writers[0].vault, made.writers[0].root)

    def __enter__(self) -> Vault:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder)

    def now(self) -> datetime:
        """The one clock of this world: the stores' and everybody's."""
        return datetime.now(UTC) + self._offset

    def pass_time(self, hours: int) -> None:
        """Let hours go by."""
        self._offset += timedelta(hours=hours)

    def _store(self, objects: dict[str, bytes]) -> MemoryStore:
        store = MemoryStore()
        store.clock = self.now
        for name, data in objects.items():
            store.put(name, data)
        return store

    def _identity(self, identity: Identity, number: int) -> Identity:
        path = self.folder / f"id{number}"
        pins = {mould().writers[0].vault: mould().writers[0].root}
        recipient = replace(identity.recipient, path=None, vaults=pins)
        return replace(identity, path=path, recipient=recipient)
