"""Makes the golden vault anew: `python -m tests.unit.vault.make_golden`. Only while a format has no users yet."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from coffer.keys import WriterCredentials, generate_identity
from coffer.keys.identity import Recipient
from coffer.vault.capture import Kind
from coffer.vault.creation import create_vault
from coffer.vault.stores.file import FileStore
from coffer.vault.writer import VaultWriter
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree
from tests.unit.vault.test_golden_vault import FIRST, GOLDEN, SECOND, WAL

LINKS = {b"link": b"dir/text"}


def main() -> None:
    """Write identity and vault."""
    for old in GOLDEN.iterdir():
        old.unlink()
    generate_identity(GOLDEN / "identity.json")
    with TemporaryDirectory() as scratch:
        store = FileStore(Path(scratch) / "vault")
        create_vault([store], [Recipient.load(GOLDEN / "identity.json.pub")], Path(scratch) / "writer")
        writer = VaultWriter.open([store], WriterCredentials.load(Path(scratch) / "writer"))
        unchanged = frozenset(FIRST) - {b"relation"}
        back_up(writer, Kind.FULL, Tree(FIRST, links=LINKS, folders=[b"dir"], facts={"lsn": "0/1"}))
        second = Tree(SECOND, links=LINKS, folders=[b"dir"], same=unchanged, pages={b"relation": [1, 3]})
        back_up(writer, Kind.INCREMENTAL, second)
        writer.put_wal(CLUSTER, SEGMENT, WAL)
        with zipfile.ZipFile(GOLDEN / "vault-1.zip", "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(store.root.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(store.root))


def back_up(writer: VaultWriter, kind: Kind, tree: Tree) -> None:
    """Commit a point."""
    with writer.begin_point(service="golden", kind=kind, started=datetime.now(UTC)) as builder:
        builder.capture(tree)
        builder.commit({})


if __name__ == "__main__":
    main()
