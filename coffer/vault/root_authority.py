"""What only the root key can do: publish a configuration, bring a new index key into use, wrap keys anew."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping

import msgspec

from coffer.errors import IntegrityError, RefusedByPolicy
from coffer.keys import sealing, signing
from coffer.keys.opener import Opener
from coffer.vault import configuration as configurations
from coffer.vault import key_objects, names
from coffer.vault.configuration import Configuration, RecipientRecord, WriterRecord
from coffer.vault.settling import Settled, Settling
from coffer.vault.store_set import StoreSet


class RootAuthority:
    """The root key in memory, and whoever unwrapped it.

    Args:
        stores: The vault's stores.
        configuration: What is believed now.
        opener: A recipient.

    Raises:
        WrongKey: The root key is wrapped to others.
        IntegrityError: What is kept as the root key is another one.
    """

    def __init__(self, stores: StoreSet, configuration: Configuration, opener: Opener) -> None:
        self._stores = stores
        self._opener = opener
        vault = configuration.vault
        self.secret = key_objects.unwrap(stores, configuration, key_objects.ROOT, vault, opener)
        if signing.public_key(self.secret) != configuration.root:
            raise IntegrityError("The root key kept in the vault is not its root", detail=vault.hex())

    def check_stores(self) -> None:
        """Make sure that every store answers before anything is made that would be left over.

        Raises:
            Unreachable: One does not.
        """
        self._stores.where(f"{names.CONFIGURATION}/", every_store=True)

    def publish(
        self,
        before: Configuration,
        *,
        recipients: list[RecipientRecord] | None = None,
        writers: list[WriterRecord] | None = None,
        retention: Mapping[str, int | float | str] | None = None,
        new_index_key: bool = False,
    ) -> Configuration:
        """Publish a configuration under the next number and return it.

        Raises:
            RefusedByPolicy: Someone else published one in the meantime.
            Unreachable: A store does not answer.
        """
        self.check_stores()
        new: Configuration = msgspec.structs.replace(
            before,
            number=before.number + 1,
            previous=configurations.digest(self._stores, before),
            created_ns=time.time_ns(),
            recipients=before.recipients if recipients is None else recipients,
            writers=before.writers if writers is None else writers,
            retention=before.retention if retention is None else dict(retention),
        )
        if new_index_key:
            new = self.with_new_index_key(new)
        if configurations.reload(self._stores, before).number != before.number:
            raise RefusedByPolicy("Someone else changed the vault in the meantime", resolution="Look, and try again")
        self.put(configurations.publish(new, self.secret))
        return new

    def with_new_index_key(self, new: Configuration) -> Configuration:
        """Put a new index key; it counts from the moment when a configuration that names it is published."""
        key = secrets.token_bytes(sealing.KEY_SIZE)
        new = msgspec.structs.replace(new, index_keys=[*new.index_keys, key_objects.commitment(key)])
        key_id = key_objects.key_id(key)
        self.put(key_objects.wrap(new.vault, key_objects.INDEX, key_id, key, new.name_readers, self.secret))
        return new

    def settle(self, configuration: Configuration) -> Settled:
        """Make the key objects agree with a configuration; see `Settling`."""
        return Settling(self._stores, configuration, self._opener, self.secret).run()

    def put(self, named: tuple[str, bytes]) -> None:
        """Put an object into every store."""
        for store in self._stores.stores:
            store.put(*named)
