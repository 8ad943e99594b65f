"""What the services are given to read."""

from __future__ import annotations

import configparser
import json
import shlex
import stat
from pathlib import Path

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from supervisor.datatypes import dict_of_key_value_pairs

from coffer.errors import UsageError
from coffer.stack import certificates, document
from coffer.stack.house import House
from coffer.stack.layout import Layout
from coffer.stack.ports import load
from coffer.stack.service import Service
from coffer.stack.services.redis import configuration as redis_configuration
from coffer.stack.services.registry import Notification
from coffer.stack.services.registry import configuration as registry_configuration
from coffer.stack.services.s3_policies import ROLES, WRITER_ACTIONS
from coffer.stack.services.seaweedfs import S3Identity, credentials_file, identities_document
from coffer.stack.supervisor import configuration

HOME = Path(__file__).parents[3]
WORDS = st.text(st.characters(min_codepoint=9, max_codepoint=126), min_size=1, max_size=12)


@pytest.fixture
def house(tmp_path: Path) -> House:
    layout = Layout(tmp_path / "state", HOME)
    for folder in (layout.secrets, layout.edge):
        folder.mkdir(parents=True)
    return House(layout, load(HOME / "deployments/local/ports.toml", 0), database="postgres", own_engine=True)


@given(WORDS, WORDS)
def test_the_supervisor_hands_words_and_variables_on_unchanged_or_refuses_them(word: str, value: str) -> None:
    service = Service("x", ("program", word), ready=lambda: None, address="", environment={"NAME": value})
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    try:
        parser.read_string(configuration([service], Path("/run"), Path("/log"), "/state"))
    except UsageError:
        assert {"\n", "'", '"', ";", "#"} & set(word + value)
        return
    program = parser["program:x"]
    # As the supervisor does: its own expansion, then the shell's way of splitting.
    assert shlex.split(program["command"] % {}) == ["program", word]
    assert dict_of_key_value_pairs(program["environment"] % {}) == {"NAME": value}


def test_no_secret_stands_where_others_can_read_it(house: House) -> None:
    services = house.services(certificates.of(house.layout.edge))
    values = [path.read_text() for path in house.layout.secrets.iterdir()]
    assert len(values) >= 12
    visible = " ".join(word for service in services for word in (*service.argv, service.address, service.name))
    assert not [value for value in values if value in visible or value[:20] in visible]


def test_the_escrow_worker_alone_is_told_where_the_identity_is(house: House) -> None:
    services = house.services(certificates.of(house.layout.edge))
    told = [service.name for service in services if str(house.layout.escrow) in str(dict(service.environment))]
    assert told == ["worker-coffer-escrow"]


def test_every_service_waits_for_services_and_jobs_that_exist(house: House) -> None:
    services = house.services(certificates.of(house.layout.edge))
    names = {service.name for service in services} | {"vault", "work-pools", "networks"}
    assert [name for service in services for name in service.after if name not in names] == []
    ports = [port for service in services for port in service.ports]
    assert len(ports) == len(set(ports)) == 26


def test_the_document_names_everything_and_is_private(house: House) -> None:
    document.write(house, certificates.of(house.layout.edge))
    assert stat.S_IMODE(house.layout.document.stat().st_mode) == 0o600
    found = json.loads(house.layout.document.read_text())
    assert set(found) == {
        "state", "port_offset", "prefect_api_url", "prefect_database", "registry", "receiver_url", "docker",
        "receiver_secret_file",
        "aws_credentials_file", "stores", "vault", "mail", "environments",
        "base_image", "reports", "approver_key",
    }  # fmt: skip
    production = found["environments"]["production"]
    assert production["network"] == "coffer-production"
    assert production["database_url"].endswith("@/creditai?host=/run/postgres&port=5433")
    assert "user=coffer_backup" in production["backup_conninfo"]
    assert found["stores"][1].startswith("s3://coffer-b/creditai?endpoint=http://127.0.0.1:8334&region=eu-b&")


def test_a_writer_of_a_region_may_delete_nothing() -> None:
    assert not [action for action in WRITER_ACTIONS if "Delete" in action or "Bypass" in action or "*" in action]
    writer, admin = S3Identity("writer", "w", "1"), S3Identity("admin", "a", "2", admin=True)
    written = json.loads(identities_document((writer, admin)))
    policies = {who["name"]: who.get("policyNames", []) for who in written["identities"]}
    assert policies == {"writer": ["writer"], "admin": []}
    assert [who["actions"] for who in written["identities"] if who["name"] == "writer"] == [[]]


@pytest.mark.parametrize("role", ["reader", "writer", "pruner"])
def test_the_policies_for_aws_allow_what_the_local_ones_allow(role: str) -> None:
    document = json.loads((HOME / "deployments/stores/s3" / f"{role}.json").read_text())
    allowed = {action for each in document["Statement"] for action in each["Action"] if each["Effect"] == "Allow"}
    assert allowed == set(ROLES[role])
    assert not [action for action in allowed if "Bypass" in action or "*" in action or "Policy" in action]


def test_boto3_reads_the_credentials_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "aws"
    file.write_text(credentials_file({"writer-a": S3Identity("writer-a", "key", "secret")}))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    found = boto3.Session(profile_name="writer-a").get_credentials()
    assert (found.access_key, found.secret_key) == ("key", "secret")


def test_the_registry_listens_on_loopback_and_shows_its_secret_to_the_receiver() -> None:
    with_hook = json.loads(registry_configuration(Path("/data"), 5000, Notification("http://127.0.0.1:1/r", "s3cret")))
    assert with_hook["http"]["addr"] == "127.0.0.1:5000"
    assert with_hook["storage"]["delete"] == {"enabled": True}
    assert with_hook["notifications"]["endpoints"][0]["headers"] == {"Authorization": ["Bearer s3cret"]}
    assert "notifications" not in json.loads(registry_configuration(Path("/data"), 5000, None))


def test_redis_listens_on_no_port_and_keeps_every_write() -> None:
    lines = redis_configuration(Path("/data"), Path("/s/redis.sock")).splitlines()
    assert {"port 0", "unixsocket /s/redis.sock", "appendonly yes"} <= set(lines)
