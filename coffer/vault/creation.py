"""Makes a vault: a root key, an index key, a first configuration, a first writer."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from coffer.errors import UsageError
from coffer.keys import Recipient, WriterCredentials, sealing, signing
from coffer.vault import configuration as configurations
from coffer.vault import key_objects, names, passphrases
from coffer.vault.configuration import Configuration, RecipientRecord, WriterRecord
from coffer.vault.passphrases import Remembered
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.stores.protocol import Store


def create_vault(
    stores: Sequence[Store],
    recipients: Sequence[Recipient],
    writer_path: Path,
    *,
    writer_name: str = "writer",
    remembered: Sequence[Remembered] = (),
    retention: RetentionPolicy | None = None,
) -> WriterCredentials:
    """Make a vault in empty stores, and its first writer's credentials.

    The root key is made here, wrapped to the recipients and forgotten: whoever holds an identity holds the root. Its
    fingerprint is pinned in the writer's file and in every FILE.pub.

    Args:
        stores: Where it shall be; a file store's folder is made.
        recipients: Who can open its points; at least one, or a passphrase.
        writer_path: Where the writer's file goes (0600).
        writer_name: What people call the writer.
        remembered: Passphrases that can open its points.
        retention: How long points are kept at least; what a point names is locked as long, where a store keeps locks.

    Raises:
        UsageError: There is a vault already, or no recipient, or the writer's file exists.
        Unreachable: A store does not answer; none was touched then.
    """
    if not stores or not (recipients or remembered):
        raise UsageError("A vault needs at least one store and one recipient")
    if writer_path.exists():
        raise UsageError(f"{writer_path} exists already", resolution="Keys are never overwritten; choose another name")
    _check_empty(stores)
    vault, root_secret, index_key = names.new_id(), signing.generate_secret(), secrets.token_bytes(sealing.KEY_SIZE)
    root = signing.public_key(root_secret)
    credentials = WriterCredentials.generate(vault.hex(), signing.fingerprint(root), 1, writer_name)
    kept = [passphrases.keep(vault, each, root_secret) for each in remembered]
    configuration = Configuration(
        vault=vault,
        number=1,
        root=root,
        previous=b"",
        created_ns=time.time_ns(),
        recipients=[
            *(RecipientRecord(each.name, each.public, each.kind) for each in recipients),
            *(who for who, _ in kept),
        ],
        writers=[WriterRecord(writer_name, credentials.public, credentials.recipient)],
        index_keys=[key_objects.commitment(index_key)],
        retention=retention.as_keys() if retention else {},
    )
    saved = credentials.save(writer_path)
    _write(stores, configuration, root_secret, index_key, [named for _, named in kept])
    for recipient in recipients:
        recipient.pin(saved.vault, saved.root)
    return saved


def _check_empty(stores: Sequence[Store]) -> None:
    for store in stores:
        store.create()
        if next(store.list(f"{names.CONFIGURATION}/"), None) is not None:
            raise UsageError("There is a vault already", detail=store.url)


def _write(
    stores: Sequence[Store],
    configuration: Configuration,
    root_secret: bytes,
    index_key: bytes,
    extra: Sequence[tuple[str, bytes]],
) -> None:
    """Write the keys first and the configuration last: it makes the vault exist."""
    vault, index_id = configuration.vault, key_objects.key_id(index_key)
    root = key_objects.wrap(vault, key_objects.ROOT, vault, root_secret, configuration.recipients, root_secret)
    index = key_objects.wrap(vault, key_objects.INDEX, index_id, index_key, configuration.name_readers, root_secret)
    for name, data in (root, index, *extra, configurations.publish(configuration, root_secret)):
        for store in stores:
            store.put(name, data)
