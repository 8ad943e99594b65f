"""Makes the golden vault anew: `python -m tests.unit.vault.make_golden`. Only while a format has no users yet.

It has a little of everything: three index keys, a recipient and a writer that were removed, a passphrase, a proof, a
mark.
"""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from coffer.keys import Identity, PrunerCredentials, Recipient, WriterCredentials, generate_identity
from coffer.keys.passphrase import LEAST_MEMORY_KIB, Argon2Parameters, Passphrase
from coffer.vault.administration import VaultAdministration
from coffer.vault.capture import Kind
from coffer.vault.compression import Compression
from coffer.vault.creation import create_vault
from coffer.vault.journal import ShippedFile
from coffer.vault.passphrases import Remembered
from coffer.vault.point_builder import PointOptions
from coffer.vault.proving import prove_points
from coffer.vault.pruning import execute, plan_prune
from coffer.vault.reader import VaultReader
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.stores.file import FileStore
from coffer.vault.writer import VaultWriter
from tests.unit.vault.golden_tree import FIRST, PASSPHRASE, SECOND, SHIPPED, THIRD, WAL, GoldenTree
from tests.unit.vault.making import CLUSTER, SEGMENT

GOLDEN = Path(__file__).parent / "golden"


def main() -> None:
    """Write identities and vault."""
    for old in GOLDEN.iterdir():
        old.unlink()
    for name in ("identity.json", "removed.json"):
        generate_identity(GOLDEN / name)
    with TemporaryDirectory() as scratch:
        store = FileStore(Path(scratch) / "vault")
        fill(store, Path(scratch))
        for state in GOLDEN.glob("*.state"):
            state.unlink()
        with zipfile.ZipFile(GOLDEN / "vault-1.zip", "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(store.root.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(store.root))


def fill(store: FileStore, scratch: Path) -> None:
    """Make a vault and let happen to it what happens to vaults."""
    recipients = [Recipient.load(GOLDEN / f"{name}.json.pub") for name in ("identity", "removed")]
    remembered = Remembered(Passphrase.of(PASSPHRASE), parameters=Argon2Parameters(LEAST_MEMORY_KIB))
    create_vault([store], recipients, scratch / "writer", remembered=[remembered])
    unchanged = frozenset(FIRST) - {b"relation", b"large"}
    back_up(store, scratch / "writer", Kind.FULL, GoldenTree(FIRST, facts={"lsn": "0/1", "none": None}))
    back_up(store, scratch / "writer", Kind.INCREMENTAL, GoldenTree(SECOND, same=unchanged), "gzip")
    writer = VaultWriter.open([store], WriterCredentials.load(scratch / "writer"))
    writer.put_wal(CLUSTER, SEGMENT, WAL)
    first = ship(writer, b"shipped", "")
    ship(writer, b"later", first)
    administration(store).add_writer("second", scratch / "second")
    administration(store).revoke_writer("writer")
    administration(store).remove_recipient(recipients[1].fingerprint)
    administration(store).set_retention(RetentionPolicy(keep_last=2, require_proof="none"))
    back_up(
        store, scratch / "second", Kind.DIFFERENTIAL, GoldenTree(THIRD, same=frozenset(FIRST) - {b"relation", b"large"})
    )
    reader = VaultReader.open([store], identity())
    prove_points(reader, [reader.point("latest")])
    pruner = PrunerCredentials(reader.vault, reader.root)
    execute(plan_prune([store], pruner), [store])


def ship(writer: VaultWriter, path: bytes, previous: str) -> str:
    """Ship a file between points."""
    file = ShippedFile(path, 0o440, 0, 0, 1_700_000_000_123_456_789, len(SHIPPED[path]), 0, len(SHIPPED[path]))
    return writer.ship("golden", "files", [file], SHIPPED[path], complete_ns=1, previous=previous)[0]


def back_up(store: FileStore, writer: Path, kind: Kind, tree: GoldenTree, compression: str = "zstd") -> None:
    """Commit a point."""
    opened = VaultWriter.open([store], WriterCredentials.load(writer))
    options = PointOptions(Compression.parse(compression))
    with opened.begin_point(service="golden", kind=kind, started=datetime.now(UTC), options=options) as builder:
        builder.capture(tree)
        builder.commit({"order": ["files"]})


def administration(store: FileStore) -> VaultAdministration:
    """Return a way to change the vault."""
    return VaultAdministration([store], identity())


def identity() -> Identity:
    """Return who opens it."""
    return Identity.load(GOLDEN / "identity.json")


if __name__ == "__main__":
    main()
