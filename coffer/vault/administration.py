"""Who may open and who may write: changes that the root key signs. Keys are rewrapped, data is never touched."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from coffer.errors import CofferError, NotAllowed, NotThere, RefusedByPolicy, UsageError
from coffer.keys import Identity, PrunerCredentials, Recipient, WriterCredentials
from coffer.vault import configuration as configurations
from coffer.vault import key_objects, names
from coffer.vault.configuration import Configuration, RecipientRecord, WriterRecord
from coffer.vault.reader import VaultReader
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import Store


@dataclass(frozen=True)
class Change:
    """What a change did.

    Attributes:
        number: Number of the new configuration.
        rewrapped: Keys that were wrapped anew.
        left: Old key objects that a store would not delete.
    """

    number: int
    rewrapped: int = 0
    left: int = 0


class VaultAdministration:
    """Changes a vault's configuration; every store must answer."""

    def __init__(self, stores: Sequence[Store], identity: Identity) -> None:
        self._stores = StoreSet(stores)
        self._identity = identity
        access = VaultReader.open(stores, identity).access()
        self._catalogue = access.catalogue
        self.configuration = access.configuration
        self._root_secret = self._unwrap(key_objects.ROOT, self.configuration.vault)

    def add_recipient(self, recipient: Recipient) -> Change:
        """Let someone open all points, old and new.

        Raises:
            UsageError: They can already.
        """
        new = RecipientRecord(recipient.name, recipient.public)
        if any(each.fingerprint == new.fingerprint for each in self.configuration.recipients):
            raise UsageError("That recipient is one already", detail=recipient.fingerprint)
        change = self._rewrap([*self.configuration.recipients, new])
        recipient.pin(self.configuration.vault.hex(), self.configuration.fingerprint)
        return change

    def remove_recipient(self, fingerprint: str) -> Change:
        """Wrap all keys without someone; what they copied before stays theirs.

        Raises:
            NotThere: No recipient has that name or fingerprint.
            RefusedByPolicy: It is the last one, or the one who asks.
        """
        going = [each for each in self.configuration.recipients if fingerprint in (each.name, each.fingerprint.hex())]
        if len(going) != 1:
            raise NotThere("There is no one such recipient", detail=f"{len(going)} are called {fingerprint}")
        staying = [each for each in self.configuration.recipients if each.fingerprint != going[0].fingerprint]
        if going[0].fingerprint.hex() == self._identity.recipient.fingerprint:
            raise RefusedByPolicy("Nobody removes themselves", resolution="Let another identity do it")
        return self._rewrap(staying)

    def add_writer(self, name: str, path: Path) -> WriterCredentials:
        """Make another writer's credentials and admit it.

        Raises:
            UsageError: The name is taken or the file exists.
        """
        if any(each.name == name and not each.revoked_ns for each in self.configuration.writers):
            raise UsageError("A writer of that name exists", detail=name)
        vault = self.configuration.vault
        credentials = WriterCredentials(
            vault.hex(),
            self.configuration.fingerprint,
            self.configuration.number + 1,
            name,
            secrets.token_bytes(32),
            self._unwrap(key_objects.INDEX, vault),
        ).save(path)
        self._publish(writers=[*self.configuration.writers, WriterRecord(name, credentials.public)])
        return credentials

    def revoke_writer(self, name: str) -> Change:
        """Believe a writer no longer: what it has committed until now stays genuine, by name.

        Raises:
            NotThere: No active writer is called so.
        """
        mine = next((each for each in self.configuration.writers if each.name == name and not each.revoked_ns), None)
        if mine is None:
            raise NotThere("There is no active writer of that name", detail=name)
        kept = [bytes.fromhex(each[-64:]) for each in self._signed_by(mine)]
        revoked = msgspec.structs.replace(mine, revoked_ns=time.time_ns(), kept=kept)
        writers = [revoked if each is mine else each for each in self.configuration.writers]
        return Change(self._publish(writers=writers))

    def make_pruner(self, path: Path, credentials_file: Path | None) -> None:
        """Write a pruner's file."""
        pruner = PrunerCredentials(self.configuration.vault.hex(), self.configuration.fingerprint, credentials_file)
        pruner.save(path)

    def _signed_by(self, writer: WriterRecord) -> list[str]:
        """Return manifests and lists of a writer, all of them checked."""
        signed = []
        for known in self._catalogue.all():
            data = self._stores.read(known.point.object_name)
            if data[8:24].hex() == writer.id:
                signed += [known.point.object_name, known.manifest.listing]
        return signed

    def _rewrap(self, recipients: list[RecipientRecord]) -> Change:
        """Wrap every key to the new recipients, then say who they are, then remove the old wraps.

        A writer may put its run's key after the keys were listed: they are looked at once more after the change is
        published. A writer that puts one still later sees the change before it commits; see `RunOutput`.
        """
        old = self._stores.where(f"{names.KEYS}/", every_store=True)
        mine, keys = self._wrap_all(old, recipients)
        number = self._publish(recipients=recipients)
        now = self._stores.where(f"{names.KEYS}/", every_store=True)
        late = {name: stores for name, stores in now.items() if name not in old and name not in mine}
        _, more = self._wrap_all(late, recipients)
        left = sum(self._forget(name, stores) for name, stores in (*old.items(), *late.items()))
        return Change(number, len(keys | more), left)

    def _wrap_all(self, found: Iterable[str], recipients: list[RecipientRecord]) -> tuple[set[str], set[str]]:
        """Wrap the keys that objects hold anew; return the names of the new objects, and whose keys they are."""
        keys = {name.split("/")[1] for name in found}
        made = set()
        for place in sorted(keys):
            purpose, _, key_id = place.partition("-")
            key = self._unwrap(purpose, bytes.fromhex(key_id))
            vault = self.configuration.vault
            named = key_objects.wrap(vault, purpose, bytes.fromhex(key_id), key, recipients, self._root_secret)
            self._put(named)
            made.add(named[0])
        return made, keys

    def _forget(self, name: str, stores: Sequence[Store]) -> int:
        left = 0
        for store in stores:
            try:
                store.delete(name)
            except (NotAllowed, RefusedByPolicy):
                left += 1
        return left

    def _publish(
        self, *, recipients: list[RecipientRecord] | None = None, writers: list[WriterRecord] | None = None
    ) -> int:
        before = self.configuration
        new: Configuration = msgspec.structs.replace(
            before,
            number=before.number + 1,
            previous=self._digest(before),
            created_ns=time.time_ns(),
            recipients=recipients or before.recipients,
            writers=writers or before.writers,
        )
        self._put(configurations.publish(new, self._root_secret))
        self.configuration = new
        return new.number

    def _digest(self, configuration: Configuration) -> bytes:
        found = self._stores.names(f"{names.CONFIGURATION}/{configuration.number:08d}/")
        return bytes.fromhex(found[0][-64:])

    def _put(self, named: tuple[str, bytes]) -> None:
        for store in self._stores.stores:
            store.put(*named)

    def _unwrap(self, purpose: str, key_id: bytes) -> bytes:
        try:
            return key_objects.unwrap(self._stores, self.configuration, purpose, key_id, self._identity)
        except CofferError as error:
            error.resolution = error.resolution or "Only a recipient may change the vault"
            raise
