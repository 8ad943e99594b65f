"""How an S3 store is spoken to: its options, its client, what the client's errors mean."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from coffer.errors import (
    CofferError,
    IntegrityError,
    NotAllowed,
    NotThere,
    OutsideSystemError,
    StoreFull,
    Unreachable,
    UsageError,
)
from coffer.vault.stores.retrying import Retries

_CONNECT_SECONDS = 10.0
_ABSENT = {"NoSuchKey", "404", "NotFound", "NoSuchVersion", "ObjectLockConfigurationNotFoundError"}
_FORBIDDEN = {"AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}
_FULL = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507"}
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, TokenRetrievalError)
_AGAIN = {
    "SlowDown",
    "RequestTimeout",
    "InternalError",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "TooManyRequests",
    "BadDigest",  # the body was damaged on the way
    "XAmzContentChecksumMismatch",
}


@dataclass(frozen=True)
class S3Options:
    """How to reach a bucket.

    Attributes:
        endpoint: Address of the service; AWS without it.
        region: Region to sign for.
        profile: Profile to take credentials from.
        credentials_file: File that holds the profile, instead of the usual places.
        timeout: Seconds without a byte after which an answer is given up.
        retries: How often what failed by chance is asked again.
        connections: Most connections kept at once: as many as threads that may call.
        part_bytes: Objects larger than this are sent in parts of this size (S3 takes at least 5 MiB).
        sse: Server-side encryption, `AES256` or `aws:kms` or `aws:kms:KEY`; the bucket's own default without it.
        lock_days: Lock each object in COMPLIANCE mode for so many days as it is put; 0 leaves locking to `lock`.
    """

    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    credentials_file: Path | None = None
    timeout: float = 60.0
    retries: Retries = field(default_factory=Retries)
    connections: int = 32
    part_bytes: int = 64 << 20
    sse: str | None = None
    lock_days: int = 0

    def encryption(self) -> dict[str, str]:
        """Return the arguments of a put that ask for server-side encryption."""
        if self.sse is None:
            return {}
        if self.sse.startswith("aws:kms:"):
            return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.sse.removeprefix("aws:kms:")}
        return {"ServerSideEncryption": self.sse}


class BeyondEnd(NotThere):
    """A range that begins at or after the object's end."""


def status_of(error: Exception) -> int:
    """Return the HTTP status of an answer, 0 where there was none."""
    if not isinstance(error, ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: Exception) -> str:
    """Return S3's word for what is wrong."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def deserves_retry(error: Exception) -> bool:
    """Tell what a second attempt may cure: 5xx, throttling, time-outs, resets, cut bodies; never an answer."""
    if isinstance(error, ClientError):
        status = status_of(error)
        return status in (409, 429, 500, 502, 503, 504) or code_of(error) in _AGAIN
    kinds = (HTTPClientError, BotoConnectionError, IncompleteReadError, FlexibleChecksumError, OSError)
    return isinstance(error, kinds)


def translate(error: Exception, where: str, store: str) -> CofferError:
    """Return the vault's word for an error of the client; absence, silence and refusal stay apart."""
    if isinstance(error, FlexibleChecksumError):
        return IntegrityError("An object is not what the store says it keeps", detail=f"{where}: {error}")
    if isinstance(error, _NO_CREDENTIALS):
        return NotAllowed(
            "There are no credentials for the store",
            detail=f"{store}: {error}",
            resolution="Set AWS_* variables, or name a profile",
        )
    if isinstance(error, ParamValidationError):
        return UsageError("No store has such an address", detail=f"{where}: {error}")
    if not isinstance(error, ClientError):
        return Unreachable("The store does not answer", detail=f"{where}: {error}")
    code, status = code_of(error), status_of(error)
    if status == 416:
        return BeyondEnd("Beyond the object's end", detail=where)
    if code == "NoSuchBucket":
        return OutsideSystemError("There is no such bucket", detail=store, resolution="Make it, or mend the URL")
    if code in _ABSENT or status == 404:
        return NotThere("There is no such object", detail=where)
    if code in _FORBIDDEN or status in (401, 403):
        return NotAllowed("The store refuses access", detail=f"{where}: {code}")
    if code in _FULL:
        return StoreFull("The store is full", detail=where, resolution="Make room there and run it again")
    return Unreachable("The store does not answer as it should", detail=f"{where}: {status} {code}")


@lru_cache
def _loader(path: str | None) -> Any:  # noqa: ANN401 - botocore has no types
    """Share the service's description: reading it takes most of the time that a client takes to make."""
    return botocore.loaders.create_loader(path)


def make_client(options: S3Options) -> Any:  # noqa: ANN401 - boto3 makes its clients' classes at run time
    """Return a boto3 client that asks once: asking again is ours, since bodies are read outside of it.

    Raises:
        UsageError: There is no such profile or credentials file, or the options make no client.
    """
    core = botocore.session.Session(profile=options.profile)
    core.register_component("data_loader", _loader(os.environ.get("AWS_DATA_PATH")))
    if options.credentials_file is not None:
        if not os.access(options.credentials_file, os.R_OK):
            raise UsageError("The credentials file cannot be read", detail=str(options.credentials_file))
        core.set_config_variable("credentials_file", str(options.credentials_file))
    config = Config(
        connect_timeout=min(_CONNECT_SECONDS, options.timeout),
        read_timeout=options.timeout,
        retries={"mode": "standard", "total_max_attempts": 1},
        s3={"addressing_style": "path" if options.endpoint else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",  # whole objects only: get asks for it
        max_pool_connections=options.connections,
    )
    try:
        session = boto3.Session(botocore_session=core, region_name=options.region)
        return session.client("s3", endpoint_url=options.endpoint, config=config)
    except ProfileNotFound as error:
        raise UsageError("There is no such profile", detail=str(error)) from error
    except (BotoCoreError, ValueError) as error:
        raise UsageError("The S3 store cannot be opened", detail=str(error)) from error
