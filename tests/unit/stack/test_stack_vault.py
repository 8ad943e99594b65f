"""The local stack's vault: made once, and whoever prunes gets a file of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from coffer.keys import PrunerCredentials, WriterCredentials
from coffer.stack.layout import Layout
from coffer.stack.vault import VaultFiles, ensure_vault
from coffer.vault.pruning import plan_prune
from coffer.vault.stores import open_store


@pytest.fixture
def files(tmp_path: Path) -> VaultFiles:
    layout = Layout(state=tmp_path / "state", home=tmp_path)
    for folder in (layout.secrets, layout.escrow):
        folder.mkdir(parents=True)
    return VaultFiles.of(layout)


def test_a_vault_is_made_once_and_has_a_pruner_in_escrow(tmp_path: Path, files: VaultFiles) -> None:
    urls = [f"file://{tmp_path}/{region}" for region in ("a", "b")]
    for url in urls:
        Path(url.removeprefix("file://")).mkdir()
    assert ensure_vault(files, urls, tmp_path / "none") == "made"
    writer, pruner = WriterCredentials.load(files.writer), PrunerCredentials.load(files.pruner)
    assert (pruner.vault, pruner.root) == (writer.vault, writer.root)
    assert pruner.credentials_file == files.pruner_credentials
    assert files.pruner.parent == files.pruner_credentials.parent == files.identity.parent
    assert plan_prune([open_store(url) for url in urls], pruner).verdicts == []
    files.pruner.unlink()  # a stack from before it had one
    assert ensure_vault(files, urls, tmp_path / "none") == "there"
    assert PrunerCredentials.load(files.pruner) == pruner
