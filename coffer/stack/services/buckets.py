"""Buckets as a vault wants them: versioning and Object Lock on from their first moment."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from coffer.errors import OutsideSystemError, StepFailed
from coffer.stack.services.seaweedfs import S3Identity


def s3_client(endpoint: str, region: str, identity: S3Identity) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    """Return an S3 client that speaks to this endpoint as this identity."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=identity.access_key,
        aws_secret_access_key=identity.secret_key,
        config=Config(retries={"max_attempts": 5}, s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=20),
    )


def ensure_bucket(endpoint: str, region: str, admin: S3Identity, bucket: str) -> None:
    """Make a bucket with Object Lock (which brings versioning), or find it made.

    Raises:
        StepFailed: A bucket of that name exists without versioning or Object Lock.
        OutsideSystemError: The store did not do it.
    """
    client = s3_client(endpoint, region, admin)
    try:
        if bucket not in {entry["Name"] for entry in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        versioning = client.get_bucket_versioning(Bucket=bucket).get("Status")
        lock = client.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"].get("ObjectLockEnabled")
    except (ClientError, BotoCoreError) as error:
        raise OutsideSystemError(f"{endpoint} did not give us bucket {bucket}", detail=str(error)) from error
    if (versioning, lock) != ("Enabled", "Enabled"):
        raise StepFailed(
            f"bucket {bucket} at {endpoint} protects nothing",
            detail=f"versioning is {versioning}, Object Lock is {lock}",
            resolution="Object Lock can only be chosen when a bucket is made: empty the bucket, remove it, start again",
        )
