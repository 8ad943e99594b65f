"""What the vault's three store identities may do, and why: the lists behind SeaweedFS's policies and the AWS ones.

Whatever is not listed is denied: for the writer every Delete*, every bypass or lifting of a lock, every setting of a
bucket, tags and ACLs. `deployments/stores/s3/` has the same lists as AWS policies with what only AWS can check.
"""

from __future__ import annotations

import json

_READ = {
    "s3:GetObject": "read and look at objects",
    "s3:GetObjectVersion": "find the genuine version behind an overwrite or a delete marker",
    "s3:GetObjectRetention": "see until when an object is locked",
    "s3:ListBucket": "list, ask for the time; without it an absent object answers 403 instead of 404",
    "s3:ListBucketVersions": "find the genuine version behind an overwrite or a delete marker",
    "s3:GetBucketLocation": "sign for the right region",
    "s3:GetBucketObjectLockConfiguration": "see whether the bucket keeps locks",
}
_WRITE = {
    "s3:PutObject": "put objects, whole and in parts",
    "s3:PutObjectRetention": "lock what a point names, and lock it for longer; COMPLIANCE lets nobody shorten",
    "s3:ListMultipartUploadParts": "go on with parts",
    "s3:AbortMultipartUpload": "leave no parts behind when a put fails",
}
READER_ACTIONS = dict(_READ)
WRITER_ACTIONS = {**_READ, **_WRITE}
PRUNER_ACTIONS = {
    **WRITER_ACTIONS,  # it puts marks, and locks what stays for longer
    "s3:DeleteObject": "remove a name where the bucket keeps no versions",
    "s3:DeleteObjectVersion": "remove the bytes; a lock still refuses",
    "s3:ListBucketMultipartUploads": "find parts that a killed writer left",
}
ROLES = {"reader": READER_ACTIONS, "writer": WRITER_ACTIONS, "pruner": PRUNER_ACTIONS}


def policy(role: str) -> str:
    """Return a role's policy for every bucket, as an AWS policy document."""
    statement = {"Effect": "Allow", "Action": list(ROLES[role]), "Resource": ["arn:aws:s3:::*"]}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
