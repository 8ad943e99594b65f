"""Leads people to another place by a record in Route 53, and waits until every server of Amazon's knows it."""

from __future__ import annotations

import time
from typing import Any

import boto3
import botocore.exceptions

from coffer.environments.model import DnsRecord
from coffer.errors import NotAllowed, NotThere, OutsideSystemError, StepFailed, Unreachable

_POLL = 1.0
_ALL = 100
"""The weight of the recovered place; all others get 0."""


class Route53:
    """One record of one hosted zone.

    Args:
        record: Which, and what it shall say.
        client: boto3's client; default: made from the record's endpoint and profile.
    """

    def __init__(self, record: DnsRecord, client: Any = None) -> None:  # noqa: ANN401 - boto3 has no types of its own
        self._record = record
        self._client = client or boto3.Session(profile_name=record.profile or None).client(
            "route53", endpoint_url=record.endpoint or None, region_name="us-east-1"
        )

    def is_moved(self) -> bool:
        """Tell whether the record leads to the recovered place, and only there.

        Raises:
            Unreachable: Route 53 does not answer.
            NotAllowed: It refuses us.
        """
        return not self._changes(self._found())

    def move(self) -> str:
        """Change the record and wait until it is INSYNC; return what was changed.

        Raises:
            NotThere: There is no such zone.
            StepFailed: It was not in sync in time.
            OutsideSystemError: Route 53 refuses.
        """
        changes = self._changes(self._found())
        if not changes:
            return "it leads there already"
        batch = {"Comment": "coffer recover", "Changes": changes}
        answer = self._call("change_resource_record_sets", HostedZoneId=self._record.zone, ChangeBatch=batch)
        seconds = self._wait(str(answer["ChangeInfo"]["Id"]))
        return f"{len(changes)} record sets of {self._record.name} changed, in sync after {seconds:.0f} s"

    def _found(self) -> list[dict[str, Any]]:
        """Return the record sets of this name and type."""
        record, name = self._record, _full(self._record.name)
        found: list[dict[str, Any]] = []
        start: dict[str, str] = {"StartRecordName": name, "StartRecordType": record.type}
        while True:
            page = self._call("list_resource_record_sets", HostedZoneId=record.zone, **start)
            sets = page["ResourceRecordSets"]
            found += [each for each in sets if (_full(each["Name"]), each["Type"]) == (name, record.type)]
            if not page.get("IsTruncated") or (sets and _full(sets[-1]["Name"]) != name):
                return found
            start = {"StartRecordName": page["NextRecordName"], "StartRecordType": page["NextRecordType"]}
            if "NextRecordIdentifier" in page:
                start["StartRecordIdentifier"] = page["NextRecordIdentifier"]

    def _changes(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        wanted = [self._ours(), *self._others(found)]
        return [{"Action": "UPSERT", "ResourceRecordSet": each} for each in wanted if each not in found]

    def _ours(self) -> dict[str, Any]:
        record = self._record
        ours: dict[str, Any] = {
            "Name": _full(record.name),
            "Type": record.type,
            "TTL": record.ttl,
            "ResourceRecords": [{"Value": record.value}],
        }
        if record.policy == "weighted":
            ours |= {"SetIdentifier": record.identifier, "Weight": _ALL}
        elif record.policy == "failover":
            ours |= {"SetIdentifier": record.identifier, "Failover": "PRIMARY"}
        return ours

    def _others(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what the other places' sets must be: a weight of nothing.

        Of a failover record only the primary leads anywhere, and its set is the one that gets our address.
        """
        if self._record.policy != "weighted":
            return []
        return [{**each, "Weight": 0} for each in found if each.get("SetIdentifier") != self._record.identifier]

    def _wait(self, change: str) -> float:
        begin = time.monotonic()
        limit = self._record.within.total_seconds()
        while self._call("get_change", Id=change)["ChangeInfo"]["Status"] != "INSYNC":
            if time.monotonic() - begin > limit:
                raise StepFailed(f"{self._record.name} is not in sync after {limit:.0f} s", detail=change)
            time.sleep(_POLL)
        return time.monotonic() - begin

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        try:
            answer: dict[str, Any] = getattr(self._client, method)(**arguments)
        except botocore.exceptions.ClientError as error:
            raise _refusal(error, self._record) from error
        except botocore.exceptions.BotoCoreError as error:
            raise Unreachable("Route 53 does not answer", detail=str(error)) from error
        return answer


def _full(name: str) -> str:
    return name if name.endswith(".") else f"{name}."


def _refusal(error: botocore.exceptions.ClientError, record: DnsRecord) -> OutsideSystemError | NotThere:
    code, text = error.response["Error"].get("Code", ""), str(error)
    if code == "NoSuchHostedZone":
        return NotThere(f"there is no hosted zone {record.zone}", resolution="See [recovery.dns] in the environment")
    if code in ("AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "SignatureDoesNotMatch"):
        return NotAllowed("Route 53 does not allow that", detail=text)
    if code in ("Throttling", "PriorRequestNotComplete", "ServiceUnavailable"):
        return Unreachable("Route 53 is busy", detail=text)
    return OutsideSystemError("Route 53 refuses the change", detail=text)
