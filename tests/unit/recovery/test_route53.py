"""The record in Route 53 leads to the recovered place, and only there, when every server knows it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectionError
from moto import mock_aws

from coffer.environments.model import DnsRecord
from coffer.errors import NotAllowed, NotThere, StepFailed, Unreachable
from coffer.recovery.traffic import Route53


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield boto3.client("route53", region_name="us-east-1")


@pytest.fixture
def zone(client: Any) -> str:
    return str(client.create_hosted_zone(Name="example.org", CallerReference="1")["HostedZone"]["Id"]).rpartition("/")[
        2
    ]


def put(client: Any, zone: str, **more: Any) -> None:
    record = {"Name": "app.example.org.", "Type": "A", "TTL": 60, **more}
    change = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=change)


def sets(client: Any, zone: str) -> dict[str, dict[str, Any]]:
    found = client.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return {each.get("SetIdentifier", ""): each for each in found if each["Type"] == "A"}


def record(zone: str, **more: Any) -> DnsRecord:
    return DnsRecord(zone=zone, name="app.example.org", value="192.0.2.7", **more)


def value(found: dict[str, Any]) -> str:
    return str(found["ResourceRecords"][0]["Value"])


def test_a_simple_record_is_changed_once(client: Any, zone: str) -> None:
    put(client, zone, ResourceRecords=[{"Value": "192.0.2.1"}])
    route = Route53(record(zone), client)
    assert not route.is_moved()
    assert "1 record sets" in route.move()
    assert value(sets(client, zone)[""]) == "192.0.2.7"
    assert route.is_moved()
    assert route.move() == "it leads there already"


def test_a_record_that_is_not_there_is_made(client: Any, zone: str) -> None:
    Route53(record(zone), client).move()
    assert value(sets(client, zone)[""]) == "192.0.2.7"


def test_weights_of_all_other_places_become_nothing(client: Any, zone: str) -> None:
    put(client, zone, SetIdentifier="old", Weight=100, ResourceRecords=[{"Value": "192.0.2.1"}])
    put(client, zone, SetIdentifier="older", Weight=0, ResourceRecords=[{"Value": "192.0.2.2"}])
    route = Route53(record(zone, policy="weighted", identifier="new"), client)
    route.move()
    found = sets(client, zone)
    assert {name: each["Weight"] for name, each in found.items()} == {"old": 0, "older": 0, "new": 100}
    assert value(found["new"]) == "192.0.2.7"
    assert route.is_moved()


def test_the_primary_of_a_failover_leads_to_the_new_place(client: Any, zone: str) -> None:
    for name, role, address in (("a", "PRIMARY", "192.0.2.1"), ("b", "SECONDARY", "192.0.2.2")):
        put(client, zone, SetIdentifier=name, Failover=role, ResourceRecords=[{"Value": address}])
    Route53(record(zone, policy="failover", identifier="a"), client).move()
    assert {name: value(each) for name, each in sets(client, zone).items()} == {"a": "192.0.2.7", "b": "192.0.2.2"}


def test_a_zone_that_is_not_there(client: Any) -> None:
    with pytest.raises(NotThere, match="no hosted zone"):
        Route53(record("ZNONE"), client).is_moved()


class Failing:
    """A client whose call of one method fails, or whose changes never arrive."""

    def __init__(self, inner: Any, method: str, error: Exception | None = None) -> None:
        self._inner, self._method, self._error = inner, method, error

    def __getattr__(self, name: str) -> Any:
        if name != self._method:
            return getattr(self._inner, name)
        if self._error is None:
            return lambda **_: {"ChangeInfo": {"Status": "PENDING"}}

        def fail(**_: Any) -> None:
            raise self._error  # type: ignore[misc]

        return fail


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "Change")


@pytest.mark.parametrize("method", ["list_resource_record_sets", "change_resource_record_sets", "get_change"])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refusal("AccessDenied"), NotAllowed),
        (refusal("Throttling"), Unreachable),
        (ConnectionError(error="reset"), Unreachable),
    ],
)
def test_every_call_may_fail_and_is_named(client: Any, zone: str, method: str, error: Exception, kind: type) -> None:
    with pytest.raises(kind):
        Route53(record(zone), Failing(client, method, error)).move()
    Route53(record(zone), client).move()
    assert value(sets(client, zone)[""]) == "192.0.2.7"


def test_a_change_that_never_arrives_is_no_success(client: Any, zone: str) -> None:
    with pytest.raises(StepFailed, match="not in sync"):
        Route53(record(zone, within=timedelta(0)), Failing(client, "get_change")).move()
