from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest

from coffer.errors import UsageError
from coffer.keys import Identity, PrunerCredentials, Recipient, WriterCredentials, generate_identity


def test_an_identity_is_private_and_its_recipient_is_not(tmp_path: Path) -> None:
    made = generate_identity(tmp_path / "id")
    assert stat.S_IMODE((tmp_path / "id").stat().st_mode) == 0o600
    assert Identity.load(tmp_path / "id").seed == made.seed
    assert Recipient.load(tmp_path / "id.pub").public == made.recipient.public


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    generate_identity(tmp_path / "id")
    before = (tmp_path / "id").read_bytes()
    (tmp_path / "id.pub").unlink()
    with pytest.raises(UsageError, match="exists already"):
        generate_identity(tmp_path / "id")
    assert (tmp_path / "id").read_bytes() == before


def test_an_identity_is_no_recipient_and_the_other_way_round(tmp_path: Path) -> None:
    generate_identity(tmp_path / "id")
    with pytest.raises(UsageError, match="recipient file"):
        Recipient.load(tmp_path / "id")
    with pytest.raises(UsageError, match="identity file"):
        Identity.load(tmp_path / "id.pub")
    with pytest.raises(UsageError, match="writer file"):
        WriterCredentials.load(tmp_path / "id")


def test_rubbish_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "id"
    for rubbish in (b"", b"\xff\xfe", b"{}", b'{"type":"coffer-identity-1","seed":"AAAA"}'):
        path.write_bytes(rubbish)
        with pytest.raises(UsageError) as caught:
            Identity.load(path)
        assert "\n" not in str(caught.value)


def test_a_recipient_that_is_not_the_identitys_own_is_noticed(tmp_path: Path) -> None:
    generate_identity(tmp_path / "id")
    generate_identity(tmp_path / "other")
    (tmp_path / "id.pub").write_bytes((tmp_path / "other.pub").read_bytes())
    with pytest.raises(UsageError, match="public half"):
        Identity.load(tmp_path / "id")


def test_a_key_that_others_can_read_is_said_to_be_that(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    generate_identity(tmp_path / "id")
    Identity.load(tmp_path / "id")
    assert caplog.text == ""
    (tmp_path / "id").chmod(0o640)
    Identity.load(tmp_path / "id")
    assert f"chmod 600 {tmp_path / 'id'}" in caplog.text


@pytest.mark.parametrize("what", [Identity, Recipient, WriterCredentials, PrunerCredentials])
def test_a_file_that_cannot_be_read_takes_one_line(tmp_path: Path, what: type[Identity]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "vast").write_bytes(bytes(1 << 25))
    for name in ("absent", "folder", "vast"):
        with pytest.raises(UsageError) as caught:
            what.load(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400


def test_half_a_key_is_never_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        generate_identity(tmp_path / "id")
    assert list(tmp_path.iterdir()) == []


def test_a_recipient_of_a_kind_that_is_not_known_is_refused(tmp_path: Path) -> None:
    made = generate_identity(tmp_path / "id")
    content = msgspec.json.decode((tmp_path / "id.pub").read_bytes())
    for kind, public in (("rsa", made.recipient.public), ("kms", made.recipient.public), ("x-wing", b"arn:aws")):
        content |= {"kind": kind, "public": public}
        (tmp_path / "other.pub").write_bytes(msgspec.json.encode(content))
        with pytest.raises(UsageError, match="not a recipient file"):
            Recipient.load(tmp_path / "other.pub")


def test_secrets_stay_out_of_what_is_printed(tmp_path: Path) -> None:
    identity = generate_identity(tmp_path / "id")
    assert repr(identity.seed) not in repr(identity)
