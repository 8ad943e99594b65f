"""RDS in one region: each call asked again where that helps, its errors in our words, and waiting with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)

from coffer.errors import CofferError, NotAllowed, NotThere, OutsideSystemError, StepFailed, Unreachable, UsageError
from coffer.vault.stores.retrying import Retries

T = TypeVar("T")
_SECONDS = 60
_AGAIN = {
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "InternalFailure",
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
}
_FORBIDDEN = {
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "KMSKeyNotAccessibleFault",
}
_QUOTA = {"SnapshotQuotaExceeded", "InstanceQuotaExceeded", "StorageQuotaExceeded", "InsufficientDBInstanceCapacity"}


@dataclass(frozen=True)
class Patience:
    """How long to wait for RDS.

    Attributes:
        every: Seconds between two looks.
        deadline: Seconds in all.
        sleep: Sleeps; tests give another.
        clock: Tells seconds; tests give another.
    """

    every: float = 15.0
    deadline: float = 6 * 3600.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


@dataclass
class RdsRegion:
    """RDS in one region.

    Attributes:
        region: Its name.
        client: boto3's client.
        retries: For calls that fail by chance.
        patience: For states that come by themselves.
    """

    region: str
    client: Any
    retries: Retries = field(default_factory=lambda: Retries(attempts=8, deadline=300))
    patience: Patience = field(default_factory=Patience)

    @classmethod
    def open(cls, region: str, *, profile: str | None = None, endpoint: str | None = None) -> RdsRegion:
        """Make a client; nothing is asked yet.

        Raises:
            UsageError: There is no such profile or region.
        """
        try:
            session = boto3.session.Session(profile_name=profile, region_name=region)
            # Retries are ours alone: boto's would multiply them.
            config = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=_SECONDS)
            return cls(region, session.client("rds", endpoint_url=endpoint, config=config))
        except (ProfileNotFound, BotoCoreError, ValueError) as error:
            raise UsageError("RDS cannot be reached so", detail=str(error)) from error

    def ask(self, operation: str, **arguments: object) -> dict[str, Any]:
        """Call an operation.

        Raises:
            CofferError: It failed, also after what deserves it was asked again; `code_of` tells RDS's word for it.
        """
        call = getattr(self.client, operation)
        given = {key: value for key, value in arguments.items() if value is not None}
        try:
            answer: dict[str, Any] = self.retries.run(lambda: call(**given), _deserves_retry)
        except (ClientError, BotoCoreError) as error:
            raise _translate(error, f"{operation} in {self.region}") from error
        return answer

    def pages(self, operation: str, key: str, **arguments: object) -> list[dict[str, Any]]:
        """Call an operation that answers in pages and return all of its items; raises as `ask` does."""
        items: list[dict[str, Any]] = []
        marker: str | None = None
        while True:
            answer = self.ask(operation, Marker=marker, **arguments)
            items += answer.get(key, [])
            marker = answer.get("Marker")
            if not marker:
                return items

    def wait(self, what: str, look: Callable[[], T | None]) -> T:
        """Look again and again until there is something.

        Raises:
            StepFailed: The deadline passed.
        """
        end = self.patience.clock() + self.patience.deadline
        while (found := look()) is None:
            if self.patience.clock() >= end:
                raise StepFailed(f"{what} took longer than {self.patience.deadline:g} s", detail=self.region)
            self.patience.sleep(self.patience.every)
        return found


def code_of(error: BaseException | None) -> str:
    """Return RDS's word for what is wrong; empty where it gave none."""
    cause = error.__cause__ if isinstance(error, CofferError) else error
    return str(cause.response.get("Error", {}).get("Code", "")) if isinstance(cause, ClientError) else ""


def tags_of(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of an instance or snapshot as RDS describes it."""
    return {tag["Key"]: tag["Value"] for tag in item.get("TagList", [])}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as RDS wants them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def _deserves_retry(error: Exception) -> bool:
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return code_of(error) in _AGAIN or status >= 500
    return isinstance(error, HTTPClientError)


def _translate(error: Exception, what: str) -> CofferError:
    code, detail = code_of(error), f"{what}: {error}"
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return NotAllowed("There are no credentials for RDS", detail=detail, resolution="Set AWS_* or name a profile")
    if code in _FORBIDDEN:
        return NotAllowed("RDS refuses this", detail=detail, resolution="See docs/rds.md for what the role needs")
    if code.endswith(("NotFound", "NotFoundFault")):
        return NotThere("RDS has no such thing", detail=detail)
    if isinstance(error, ParamValidationError) or code in ("InvalidParameterValue", "InvalidParameterCombination"):
        return UsageError("RDS takes no such value", detail=detail)
    if code in _QUOTA:
        return OutsideSystemError("RDS has no room left", detail=detail, resolution="Raise the quota, or remove some")
    if not isinstance(error, ClientError):
        return Unreachable("RDS does not answer", detail=detail)
    return OutsideSystemError("RDS failed", detail=detail)
