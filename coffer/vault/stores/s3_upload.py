"""One object into a bucket: in one request or in parts, only where none stands, with its SHA-256."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from coffer.errors import CofferError, IntegrityError, NotThere, Unreachable
from coffer.vault.stores.protocol import Buffer, as_bytes
from coffer.vault.stores.s3_bucket import S3Bucket
from coffer.vault.stores.s3_client import status_of

_CONFLICTS = 5


def sha256(data: Buffer) -> str:
    """Return a SHA-256 as S3 writes it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def upload(bucket: S3Bucket, name: str, data: Buffer, more: Mapping[str, object]) -> None:
    """Put an object; `412` with the same bytes is done, also when it was our own answer that got lost.

    Raises:
        IntegrityError: Other bytes stand under that name.
    """
    in_parts = len(data) > bucket.options.part_bytes
    for _ in range(_CONFLICTS):
        try:
            if in_parts:
                _upload_in_parts(bucket, name, memoryview(data), more)
            else:
                bucket.ask(
                    "put_object", name, Body=as_bytes(data), IfNoneMatch="*", ChecksumSHA256=sha256(data), **more
                )
            return
        except CofferError as error:
            # 409: another put is in work, and parts must be sent anew. No such upload: it was completed, and the
            # answer got lost; or it was swept.
            again = _status(error) == 409 or (in_parts and isinstance(error, NotThere))
            if not again and _status(error) != 412:
                raise
        if _stands(bucket, name, data):
            return
    raise Unreachable("An object comes and goes while it is put", detail=f"{name} in {bucket.url}")


def _upload_in_parts(bucket: S3Bucket, name: str, data: memoryview, more: Mapping[str, object]) -> None:
    begun = bucket.ask("create_multipart_upload", name, ChecksumAlgorithm="SHA256", **more)["UploadId"]
    try:
        parts = [_put_part(bucket, name, begun, number, part) for number, part in enumerate(_split(bucket, data), 1)]
        bucket.ask("complete_multipart_upload", name, UploadId=begun, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
    except BaseException as error:
        _abort(bucket, name, begun, error)
        raise


def _put_part(bucket: S3Bucket, name: str, begun: str, number: int, part: memoryview) -> dict[str, Any]:
    checksum = sha256(part)
    answer = bucket.ask(
        "upload_part", name, UploadId=begun, PartNumber=number, Body=as_bytes(part), ChecksumSHA256=checksum
    )
    return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}


def _abort(bucket: S3Bucket, name: str, begun: str, error: BaseException) -> None:
    """Leave no parts behind; where even that fails, prune's sweep finds them, and the first error is what counts."""
    try:
        bucket.ask("abort_multipart_upload", name, UploadId=begun)
    except NotThere:
        return
    except CofferError as second:
        error.add_note(f"its parts stay until the next prune: {second}")


def _split(bucket: S3Bucket, data: memoryview) -> list[memoryview]:
    step = bucket.options.part_bytes
    return [data[at : at + step] for at in range(0, len(data), step)]


def _stands(bucket: S3Bucket, name: str, data: Buffer) -> bool:
    """Tell whether these bytes are there, by their checksum where the store keeps one; raises for other bytes."""
    try:
        answer = bucket.ask("head_object", name, ChecksumMode="ENABLED")
        if answer["ContentLength"] == len(data):
            kept = answer.get("ChecksumSHA256")
            if kept is not None and kept in (sha256(data), _checksum_of_parts(bucket, memoryview(data))):
                return True
            # No checksum, or one of parts that were cut elsewhere: only the bytes can tell.
            if (kept is None or "-" in kept) and bucket.ask("get_object", name)["Body"] == data:
                return True
    except NotThere:  # it was removed since
        return False
    raise IntegrityError("Another object stands under that name", detail=f"{name} in {bucket.url}")


def _checksum_of_parts(bucket: S3Bucket, data: memoryview) -> str:
    """Return S3's composite checksum: the SHA-256 of the parts' SHA-256s, and how many they are."""
    parts = _split(bucket, data)
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    return f"{sha256(digests)}-{len(parts)}"


def _status(error: CofferError) -> int:
    cause = error.__cause__
    return status_of(cause) if isinstance(cause, ClientError) else 0


def lock_arguments(until: datetime | None) -> dict[str, object]:
    """Return the arguments of a put that lock what is put."""
    return {} if until is None else {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
