"""A key in AWS KMS as a recipient: writers may Encrypt, readers Decrypt, and the key never leaves the service.

The encryption context names vault and key, so that a ciphertext taken to another place does not decrypt, and the
cloud's own log says which key of which vault was asked for. Credentials come from the ecosystem's own places (AWS_*,
profiles, instance roles), the region from the key's ARN, another address from AWS_ENDPOINT_URL_KMS.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from coffer.errors import CofferError, NotAllowed, NotThere, OutsideSystemError, Unreachable, UsageError

T = TypeVar("T")
_ARN = re.compile(r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:key/[A-Za-z0-9-]{1,64}")
_SECRET_SIZE = 32
_ATTEMPTS = 5
_FORBIDDEN = {"AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidClientTokenId"}
_FORBIDDEN |= {"InvalidSignatureException", "SignatureDoesNotMatch", "ExpiredTokenException", "DisabledException"}
_FORBIDDEN |= {"KMSInvalidStateException", "InvalidKeyUsageException"}
_SILENT = {"ThrottlingException", "KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException"}
_NOT_MINE = {"InvalidCiphertextException", "IncorrectKeyException"}


def check_arn(arn: str) -> str:
    """Return the region of a key's ARN.

    Raises:
        ValueError: It is none; an alias is none either, for it may be pointed at another key.
    """
    match = _ARN.fullmatch(arn)
    if match is None:
        raise ValueError("a KMS recipient is named by its key's ARN: arn:aws:kms:REGION:ACCOUNT:key/ID")
    return match["region"]


@dataclass(frozen=True)
class KmsKey:
    """An opener that asks a KMS.

    Attributes:
        arn: The key's ARN.
        pins: None: nothing is kept on disk; compare the root with the recovery kit.
        path: None, as well.
    """

    arn: str
    pins: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what is no ARN."""
        try:
            check_arn(self.arn)
        except ValueError as error:
            raise UsageError(f"{self.arn!r} is no KMS key", detail=str(error)) from error

    @property
    def fingerprint(self) -> str:
        """Hex of the first 16 bytes of SHA-256 of the ARN."""
        return hashlib.sha256(self.arn.encode()).hexdigest()[:32]

    def decapsulate(self, ciphertext: bytes, place: Mapping[str, str]) -> bytes:
        """Let the KMS decrypt; raises as `Opener.decapsulate` does."""

        def decrypt() -> bytes:
            answer = _client(check_arn(self.arn)).decrypt(
                KeyId=self.arn, CiphertextBlob=ciphertext, EncryptionContext=dict(place)
            )
            return bytes(answer["Plaintext"])

        return _asked(self.arn, "kms:Decrypt", decrypt)


def encapsulate(arn: str, place: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Make a secret that only the KMS key gives back; raises as `opener.encapsulate` does."""
    secret = secrets.token_bytes(_SECRET_SIZE)

    def encrypt() -> bytes:
        answer = _client(check_arn(arn)).encrypt(KeyId=arn, Plaintext=secret, EncryptionContext=dict(place))
        return bytes(answer["CiphertextBlob"])

    return secret, _asked(arn, "kms:Encrypt", encrypt)


@cache
def _client(region: str) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=10, read_timeout=30, retries={"mode": "standard", "total_max_attempts": _ATTEMPTS})
    return boto3.session.Session().client("kms", region_name=region, config=config)


def _asked(arn: str, action: str, ask: Callable[[], T]) -> T:
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        return ask()
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _NOT_MINE:
            raise ValueError("the KMS did not encrypt that with this key, for this place") from error
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        raise _translate(code, status, f"{action} with {arn}: {error}") from error
    except NoCredentialsError as error:
        raise NotAllowed("The KMS needs credentials", detail=f"{action} with {arn}: {error}") from error
    except BotoCoreError as error:
        raise Unreachable("The KMS does not answer", detail=f"{action} with {arn}: {error}") from error


def _translate(code: str, status: int, detail: str) -> CofferError:
    if code == "NotFoundException":
        return NotThere("The KMS has no such key", detail=detail)
    if code in _FORBIDDEN or status == 403:
        return NotAllowed("The KMS does not allow it", detail=detail)
    if code in _SILENT or status >= 500:
        return Unreachable("The KMS does not answer", detail=detail)
    return OutsideSystemError("The KMS failed", detail=detail)
