"""An RDS of moto's in two regions, where calls fail as RDS's do and time passes only when somebody sleeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError
from moto.backends import get_backend

from coffer.sources.rds import RdsAddress
from coffer.sources.rds.client import RdsRegion

ACCOUNT = "123456789012"
HOME, AWAY = "eu-central-1", "eu-west-1"
LOST = ConnectionClosedError(endpoint_url="https://rds")
"""The call is done, its answer never comes."""


def refused(code: str, status: int = 400) -> ClientError:
    error = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(error, "Any")  # type: ignore[arg-type]


@dataclass
class Faulty:
    """A client whose next calls of an operation fail; `calls` counts what really arrived."""

    client: Any
    faults: dict[str, list[Exception]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        real = getattr(self.client, operation)

        def call(**arguments: object) -> Any:
            waiting = self.faults.get(operation)
            fault = waiting.pop(0) if waiting else None
            if fault is not None and fault is not LOST:
                raise fault
            answer = real(**arguments)
            self.calls.append(operation)
            if fault is LOST:
                raise fault
            return answer

        return call


@dataclass
class Cloud:
    """Both regions; `on_sleep` is what happens meanwhile."""

    regions: dict[str, RdsRegion] = field(default_factory=dict)
    now: float = 0.0
    on_sleep: list[Callable[[], None]] = field(default_factory=list)
    key: str = ""
    address: RdsAddress = field(default_factory=lambda: RdsAddress("prod", HOME))

    def open(self, region: str, **_: object) -> RdsRegion:
        return self.regions[region]

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.on_sleep:
            self.on_sleep.pop(0)()

    def fail(self, region: str, operation: str, *faults: Exception) -> None:
        self.regions[region].client.faults[operation] = list(faults)

    def calls(self, region: str, operation: str) -> int:
        return int(self.regions[region].client.calls.count(operation))

    def backend(self, region: str) -> Any:
        return get_backend("rds")[ACCOUNT][region]
