"""Makes a vault: a root key, an index key, a first configuration, a first writer."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from coffer.errors import UsageError
from coffer.keys import Recipient, WriterCredentials, signing
from coffer.vault import configuration as configurations
from coffer.vault import key_objects, names
from coffer.vault.configuration import Configuration, RecipientRecord, WriterRecord
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.protocol import Store


def create_vault(
    stores: Sequence[Store], recipients: Sequence[Recipient], writer_path: Path, *, writer_name: str = "writer"
) -> WriterCredentials:
    """Make a vault in empty stores, and its first writer's credentials.

    The root key is made here, wrapped to the recipients and forgotten: whoever holds an identity holds the root. Its
    fingerprint is pinned in the writer's file and in every FILE.pub.

    Args:
        stores: Where it shall be; a file store's folder is made.
        recipients: Who can open its points; at least one.
        writer_path: Where the writer's file goes (0600).
        writer_name: What people call the writer.

    Raises:
        UsageError: There is a vault already, or no recipient, or the writer's file exists.
        Unreachable: A store does not answer; none was touched then.
    """
    if not stores or not recipients:
        raise UsageError("A vault needs at least one store and one recipient")
    if writer_path.exists():
        raise UsageError(f"{writer_path} exists already", resolution="Keys are never overwritten; choose another name")
    _check_empty(stores)
    vault, root_secret, index_key = names.new_id(), secrets.token_bytes(32), secrets.token_bytes(32)
    credentials = WriterCredentials(
        vault.hex(),
        signing.fingerprint(signing.public_key(root_secret)),
        1,
        writer_name,
        secrets.token_bytes(32),
        index_key,
    )
    configuration = Configuration(
        vault=vault,
        number=1,
        root=signing.public_key(root_secret),
        previous=b"",
        created_ns=time.time_ns(),
        recipients=[RecipientRecord(each.name, each.public) for each in recipients],
        writers=[WriterRecord(writer_name, credentials.public)],
    )
    saved = credentials.save(writer_path)
    _write(stores, configuration, root_secret, index_key)
    for recipient in recipients:
        recipient.pin(saved.vault, saved.root)
    return saved


def _check_empty(stores: Sequence[Store]) -> None:
    for store in stores:
        if isinstance(store, FileStore):
            store.create()
        if next(store.list(f"{names.CONFIGURATION}/"), None) is not None:
            raise UsageError("There is a vault already", detail=store.url)


def _write(stores: Sequence[Store], configuration: Configuration, root_secret: bytes, index_key: bytes) -> None:
    """Write the keys first and the configuration last: it makes the vault exist."""
    vault = configuration.vault
    objects = [
        key_objects.wrap(vault, purpose, vault, key, configuration.recipients, root_secret)
        for purpose, key in ((key_objects.ROOT, root_secret), (key_objects.INDEX, index_key))
    ]
    for name, data in (*objects, configurations.publish(configuration, root_secret)):
        for store in stores:
            store.put(name, data)
