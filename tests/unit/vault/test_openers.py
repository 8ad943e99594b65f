"""Any one recipient opens: an identity, a passphrase, a KMS key. And the writers need only what makes wraps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from coffer.errors import NotAllowed, UsageError, WrongKey
from coffer.keys import Recipient, WriterCredentials, generate_identity, kms
from coffer.keys.kms import KmsKey
from coffer.keys.opener import Opener
from coffer.keys.passphrase import Argon2Parameters, Passphrase
from coffer.vault import key_objects
from coffer.vault.administration import VaultAdministration
from coffer.vault.capture import Kind
from coffer.vault.creation import create_vault
from coffer.vault.passphrases import Remembered
from coffer.vault.reader import VaultReader
from coffer.vault.stores.memory import MemoryStore
from coffer.vault.writer import VaultWriter
from tests.unit.vault.making import CLUSTER, SEGMENT, Tree, World

FILES = {b"a": os.urandom(50_000)}
PHRASE = Passphrase.of("a phrase of many words")
QUICK = Argon2Parameters(64 << 10, 3, 4)
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:%s","Resource":"*"}]}'


@dataclass
class Cloud:
    """A KMS with one key, in this process."""

    arn: str

    def act_as(self, name: str, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sign what follows as somebody who may do one thing only."""
        iam = boto3.client("iam", region_name="eu-central-1")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=POLICY % action)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", made["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", made["SecretAccessKey"])
        kms._client.cache_clear()


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with mock_aws():
        kms._client.cache_clear()
        yield Cloud(boto3.client("kms", region_name="eu-central-1").create_key()["KeyMetadata"]["Arn"])
    kms._client.cache_clear()


def fill(store: MemoryStore, writer: Path) -> None:
    opened = VaultWriter.open([store], WriterCredentials.load(writer))
    with opened.begin_point(service="app", kind=Kind.FULL, started=store.now()) as builder:
        builder.capture(Tree(FILES))
        builder.commit({})
    opened.put_wal(CLUSTER, SEGMENT, b"wal")


def opens_all(store: MemoryStore, who: Opener | Passphrase, root: str) -> None:
    reader = VaultReader.open([store], who, root=root)
    assert reader.root_is_pinned
    assert reader.read_file(reader.point("latest"), "files", b"a") == FILES[b"a"]
    assert reader.get_wal(CLUSTER, SEGMENT) == b"wal"
    assert reader.verify().ok


def test_any_one_recipient_opens(cloud: Cloud, tmp_path: Path) -> None:
    store, identity = MemoryStore(), generate_identity(tmp_path / "id")
    recipients = [Recipient.load(tmp_path / "id.pub"), Recipient.of_kms(cloud.arn)]
    made = create_vault([store], recipients, tmp_path / "writer", remembered=[Remembered(PHRASE, parameters=QUICK)])
    fill(store, tmp_path / "writer")
    for who in (identity, KmsKey(cloud.arn), PHRASE):
        opens_all(store, who, made.root)


@pytest.mark.parametrize("who", ["passphrase", "kms"])
def test_one_that_comes_later_opens_all_and_changes_the_vault(cloud: Cloud, tmp_path: Path, who: str) -> None:
    world = World(tmp_path)
    fill(world.memory, tmp_path / "writer")
    administration = VaultAdministration(world.stores, world.identity)
    opener: Opener | Passphrase = PHRASE if who == "passphrase" else KmsKey(cloud.arn)
    if who == "passphrase":
        administration.add_passphrase(Remembered(PHRASE, parameters=QUICK))
    else:
        administration.add_recipient(Recipient.of_kms(cloud.arn))
    root = world.credentials.root
    opens_all(world.memory, opener, root)
    VaultAdministration(world.stores, opener, root=root).remove_recipient("id")
    fill(world.memory, tmp_path / "writer")
    opens_all(world.memory, opener, root)
    with pytest.raises(WrongKey):
        world.reader()


def test_a_vault_that_a_passphrase_alone_opens(tmp_path: Path) -> None:
    store = MemoryStore()
    made = create_vault([store], [], tmp_path / "writer", remembered=[Remembered(PHRASE, parameters=QUICK)])
    fill(store, tmp_path / "writer")
    opens_all(store, PHRASE, made.root)
    secret = (tmp_path / "writer").read_text() + "".join(map(repr, store.objects.values()))
    assert PHRASE.text not in secret
    with pytest.raises(UsageError, match="15 characters"):
        create_vault([MemoryStore()], [], tmp_path / "other", remembered=[Remembered(Passphrase.of("short"))])


def test_writers_encrypt_and_never_decrypt(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto lets the first calls pass and asks IAM from then on: kms:Encrypt is enough to back up, and opens nothing."""
    from moto.core import set_initial_no_auth_action_count

    store = MemoryStore()
    made = create_vault([store], [Recipient.of_kms(cloud.arn)], tmp_path / "writer")

    @set_initial_no_auth_action_count(3)  # the three that make the writer's user
    def as_writer() -> None:
        cloud.act_as("backup", "Encrypt", monkeypatch)
        fill(store, tmp_path / "writer")
        with pytest.raises(NotAllowed, match="kms:Decrypt"):
            VaultReader.open([store], KmsKey(cloud.arn), root=made.root)

    as_writer()
    opens_all(store, KmsKey(cloud.arn), made.root)


def test_a_kms_that_refuses_stops_a_backup_and_leaves_nothing_that_it_cannot_open(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.core import set_initial_no_auth_action_count

    store = MemoryStore()
    create_vault([store], [Recipient.of_kms(cloud.arn)], tmp_path / "writer")
    before = set(store.objects)

    @set_initial_no_auth_action_count(3)
    def as_reader() -> None:
        cloud.act_as("reader", "Decrypt", monkeypatch)
        with pytest.raises(NotAllowed, match="kms:Encrypt"):
            fill(store, tmp_path / "writer")

    as_reader()
    assert set(store.objects) == before


def test_what_the_kms_is_told_names_vault_and_key(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = []
    inner = kms.encapsulate
    monkeypatch.setattr(kms, "encapsulate", lambda arn, place: places.append(dict(place)) or inner(arn, place))
    store = MemoryStore()
    made = create_vault([store], [Recipient.of_kms(cloud.arn)], tmp_path / "writer")
    assert places[0] == {"coffer-vault": made.vault, "coffer-key": f"keys/{key_objects.ROOT}-{made.vault}"}
    assert places[1]["coffer-key"].startswith("keys/index-")
