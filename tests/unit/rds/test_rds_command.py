"""`coffer rds`: an instance back, over to the other zone, snapshots gone with their points."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coffer.commands.main import main
from coffer.keys import Recipient, WriterCredentials, generate_identity
from coffer.recovery import rds_retention
from coffer.recovery.rds import restorable_window
from coffer.sources.rds import RdsSource
from coffer.sources.rds.client import RdsRegion
from coffer.sources.rds.snapshots import make_snapshot
from coffer.vault.capture import Kind
from coffer.vault.creation import create_vault
from coffer.vault.stores import open_store
from coffer.vault.writer import VaultWriter
from tests.unit.rds.moto_cloud import AWAY, HOME, Cloud

PROD = f"prod?region={HOME}&copy_region={AWAY}"


@pytest.fixture(autouse=True)
def _cloud_only(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RdsRegion, "open", cloud.open)


def _rds(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["rds", *words])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_an_instance_comes_back_like_the_old_one(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    moment = restorable_window(cloud.regions[HOME], "prod").latest.isoformat()
    words = ["restore", PROD, "--to", "back", "--request", "r1", "--json"]
    code, out, _ = _rds(capsys, *words, "--time", moment)
    assert code == 0
    assert json.loads(out)["name"] == "back"
    assert cloud.backend(HOME).databases["back"].multi_az
    code, _, err = _rds(capsys, *words, "--time", "2000-01-01T00:00:00Z", "--snapshot", "x")
    assert (code, "either" in err) == (2, True)
    snapshot = make_snapshot(cloud.regions[HOME], "prod", "r", {})
    code, out, _ = _rds(capsys, "restore", PROD, "--to", "other", "--snapshot", snapshot.id, "--single-az")
    assert (code, out.startswith("other.")) == (0, True)


def test_a_moment_that_lies_ahead_names_the_window(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = _rds(capsys, "restore", PROD, "--to", "back", "--time", "2999-01-01T00:00:00Z")
    assert (code, "it can go to any moment" in err) == (2, True)


def test_a_failover_that_has_happened_is_told(cloud: Cloud, capsys: pytest.CaptureFixture[str],
                                              monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr("coffer.recovery.rds_failover.takes_connections", lambda *_: True)
    code, out, _ = _rds(capsys, "failover", PROD, "--away-from", f"{HOME}z", "--json")
    assert code == 0
    assert json.loads(out) == {"before": f"{HOME}z", "after": f"{HOME}a", "seconds": 0.0}
    cloud.backend(HOME).databases["prod"].multi_az = False
    assert _rds(capsys, "failover", PROD)[0] == 2


def test_prune_asks_the_vault_which_snapshots_are_needed(
    cloud: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"file://{tmp_path / 'store'}"
    generate_identity(tmp_path / "identity")
    create_vault([open_store(url)], [Recipient.load(tmp_path / "identity.pub")], tmp_path / "writer")
    writer = VaultWriter.open([open_store(url)], WriterCredentials.load(tmp_path / "writer"))
    source = RdsSource("rds", cloud.address, open_region=cloud.open)
    with writer.begin_point(service="creditai", kind=Kind.FULL, started=datetime.now(UTC)) as builder:
        builder.capture(source)
        builder.commit({})
    orphan = make_snapshot(cloud.regions[HOME], "prod", "orphan", {})
    for snapshot in cloud.backend(HOME).database_snapshots.values():
        snapshot.created = datetime(2020, 1, 1, tzinfo=UTC)
    words = ["prune", PROD, "--store", url, "--identity", str(tmp_path / "identity")]
    code, _, err = _rds(capsys, *words, "--dry-run")
    assert (code, f"would remove {orphan.id}" in err, orphan.id in cloud.backend(HOME).database_snapshots) == (
        0,
        True,
        True,
    )
    code, _, err = _rds(capsys, *words)
    assert (code, err.count("removed ")) == (0, 1)
    assert orphan.id not in cloud.backend(HOME).database_snapshots
    assert rds_retention.find_unneeded([cloud.regions[AWAY]], "prod", set()) == []
