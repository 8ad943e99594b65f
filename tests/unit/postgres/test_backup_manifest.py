"""The backup manifest: checked, and cut down to what WAL summaries may be trusted for."""

from __future__ import annotations

import hashlib
import json

import pytest

from coffer.errors import IntegrityError
from coffer.sources.postgres.manifest import BackupManifest, Received

RELATIONS = ["base/5/1259", "base/5/INCREMENTAL.16390", "base/5/16390.1", "global/1260",
             "pg_tblspc/16400/PG_18_202506291/5/16401"]  # fmt: skip
NEVER = ["base/5/1259_vm", "base/5/1259_fsm", "base/5/INCREMENTAL.16390_vm", "base/5/16390_init", "global/pg_control",
         "base/5/pg_filenode.map", "pg_xact/0000", "backup_label", "PG_VERSION", "pg_tblspc/16400/PG_18_202506291/5/16401_vm"]  # fmt: skip  # noqa: E501


def manifest(paths: list[str]) -> bytes:
    files = [
        {"Path": path, "Size": 3, "Last-Modified": "2026-11-24 10:00:00 GMT", "Checksum-Algorithm": "SHA256",
         "Checksum": hashlib.sha256(path.encode()).hexdigest()}
        for path in paths
    ]  # fmt: skip
    document = {"PostgreSQL-Backup-Manifest-Version": 2, "System-Identifier": 77, "Files": files,
                "WAL-Ranges": [{"Timeline": 1, "Start-LSN": "0/5000028", "End-LSN": "0/5000120"}]}  # fmt: skip
    body = json.dumps(document)[:-1].encode() + b",\n"
    return body + f'"Manifest-Checksum": "{hashlib.sha256(body).hexdigest()}"}}\n'.encode()


def received(paths: list[str]) -> dict[str, Received]:
    return {path: Received(3, hashlib.sha256(path.encode()).hexdigest()) for path in paths}


def test_only_main_forks_are_named_to_the_server() -> None:
    reduced = BackupManifest(manifest(RELATIONS + NEVER)).for_incremental()
    document = json.loads(reduced)
    assert [file["Path"] for file in document["Files"]] == RELATIONS
    assert BackupManifest(reduced).wal_ranges == [(1, "0/5000028", "0/5000120")]
    assert BackupManifest(reduced).system_identifier == 77


def test_what_arrived_is_compared() -> None:
    whole = BackupManifest(manifest(RELATIONS))
    whole.check(received(RELATIONS))
    with pytest.raises(IntegrityError, match="other files"):
        whole.check(received(RELATIONS[1:]))
    with pytest.raises(IntegrityError, match="other files"):
        whole.check(received([*RELATIONS, "extra"]))
    damaged = received(RELATIONS) | {"global/1260": Received(3, "0" * 64)}
    with pytest.raises(IntegrityError, match="global/1260"):
        whole.check(damaged)


@pytest.mark.parametrize("at", [5, 60, 300, -10])
def test_a_damaged_manifest_is_refused(at: int) -> None:
    content = bytearray(manifest(RELATIONS))
    content[at] ^= 0x01
    with pytest.raises(IntegrityError, match="manifest is damaged"):
        BackupManifest(bytes(content))
