"""Approvals: a signature over one plan's hash, by a key that the environment's file lists, for a time."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from coffer.errors import ApprovalError, Rejected, UsageError
from coffer.keys import signing
from coffer.release.canonical import canonical
from coffer.release.plan import ReleasePlan

_PURPOSE = b"release approval"


class Choice(StrEnum):
    """What a person says about a plan."""

    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True)
class Approver:
    """A person who may approve.

    Attributes:
        name: Who it is.
        public: Raw Ed25519 public key, 32 bytes.
        roles: What this person may speak for.
    """

    name: str
    public: bytes
    roles: tuple[str, ...]


@dataclass(frozen=True)
class ApprovalPolicy:
    """Whose word is needed.

    Attributes:
        needed: Number of different people.
        roles: Any of these roles.
        approvers: The people.
        valid_for: How long an approval stands, whatever it says itself.
        requester_may_approve: Whether the person who asked may also approve.
    """

    needed: int
    roles: tuple[str, ...]
    approvers: tuple[Approver, ...]
    valid_for: timedelta = timedelta(hours=4)
    requester_may_approve: bool = False


@dataclass(frozen=True)
class Approval:
    """One person's signed word on one plan.

    Attributes:
        plan: The plan's hash.
        environment: Where it may be carried out.
        by: Name of the person.
        role: Role it is given in.
        choice: Approve or reject.
        given_at: When.
        until: End of its validity.
        reason: Why; a rejection needs one.
        signature: Ed25519 over all of the above, base64.
    """

    plan: str
    environment: str
    by: str
    role: str
    choice: Choice
    given_at: datetime
    until: datetime
    reason: str = ""
    signature: str = ""

    @property
    def statement(self) -> bytes:
        """The bytes that are signed."""
        return canonical(replace(self, signature=""))

    def signed(self, secret: bytes) -> Approval:
        """Return it with a signature by a raw Ed25519 key (32 bytes)."""
        return replace(self, signature=base64.b64encode(signing.sign(secret, _PURPOSE, self.statement)).decode())

    def to_json(self) -> str:
        """Return it as one line of JSON, which a form or a run's input takes."""
        return canonical(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Approval:
        """Read what `to_json` wrote.

        Raises:
            ApprovalError: It is no approval.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ApprovalError("this is not an approval", detail=str(error)) from error


def approve(
    plan: ReleasePlan,
    *,
    by: str,
    role: str,
    secret: bytes,
    now: datetime,
    valid_for: timedelta,
    choice: Choice = Choice.APPROVE,
    reason: str = "",
) -> Approval:
    """Sign a word on a plan.

    Raises:
        ApprovalError: A rejection without a reason.
    """
    if choice is Choice.REJECT and not reason.strip():
        raise ApprovalError("a rejection needs a reason", resolution="Say why, for those who have to mend it")
    return Approval(plan.hash, plan.environment, by, role, choice, now, now + valid_for, reason).signed(secret)


def check_approvals(
    plan: ReleasePlan, approvals: Sequence[Approval], policy: ApprovalPolicy, now: datetime
) -> tuple[Approval, ...]:
    """Return the approvals that carry a plan, one a person.

    Raises:
        Rejected: Somebody who may approve rejected it.
        ApprovalError: Fewer valid approvals than needed; the reason of every refusal is in it.
    """
    valid: dict[bytes, Approval] = {}
    refused: list[str] = []
    for approval in approvals:
        try:
            approver = check_approval(plan, approval, policy, now)
        except ApprovalError as error:
            refused.append(f"{approval.by}: {error.detail}")
            continue
        if approval.choice is Choice.REJECT:
            raise Rejected(f"{approval.by} rejected this plan", detail=approval.reason)
        # One key speaks once, under whatever name.
        valid[approver.public] = approval
    if len(valid) < policy.needed:
        raise ApprovalError(
            f"{len(valid)} of {policy.needed} approvals",
            detail="; ".join(refused) or "nobody has approved yet",
            resolution=f"coffer release approve, by {_people(policy.approvers) or 'nobody: the file lists no keys'}",
        )
    return tuple(valid.values())


def check_approval(plan: ReleasePlan, approval: Approval, policy: ApprovalPolicy, now: datetime) -> Approver:
    """Return who stands behind one approval.

    Raises:
        ApprovalError: It is forged, for another plan or environment, in a role that does not count, late, from the
            future, or by the person who asked.
    """
    approver = next((one for one in policy.approvers if one.name == approval.by), None)
    if approver is None:
        raise _refused("the environment's file lists no such approver")
    if not _is_genuine(approval, approver):
        raise _refused("the signature is not by the listed key, or something was changed after signing")
    if approval.plan != plan.hash:
        raise _refused(f"it is for another plan ({approval.plan[:12]}, this is {plan.hash[:12]})")
    if approval.environment != plan.environment:
        raise _refused(f"it is for {approval.environment}, this is {plan.environment}")
    if approval.role not in approver.roles or approval.role not in policy.roles:
        raise _refused(f"the role {approval.role} does not count here")
    if now >= min(approval.until, approval.given_at + policy.valid_for):
        raise _refused("it came too late: its time is over")
    if approval.given_at > now + timedelta(minutes=5):
        raise _refused("it is dated in the future")
    asked = approval.by == plan.requested_by
    if asked and approval.choice is Choice.APPROVE and not policy.requester_may_approve:
        raise _refused("the person who asked may not approve")
    return approver


def read_public_key(text: str) -> bytes:
    """Read an Ed25519 public key: an `ssh-ed25519 …` line, or 32 bytes in base64.

    Raises:
        UsageError: It is neither.
    """
    try:
        if text.startswith("ssh-"):
            key = load_ssh_public_key(text.encode())
            if isinstance(key, Ed25519PublicKey):
                return key.public_bytes_raw()
        elif len(raw := base64.b64decode(text, validate=True)) == signing.PUBLIC_SIZE:
            return raw
    except (ValueError, binascii.Error) as error:
        raise UsageError("this is not an Ed25519 public key", detail=str(error)) from error
    raise UsageError("this is not an Ed25519 public key", resolution="Write ssh-ed25519 AAAA… or 32 bytes in base64")


def _is_genuine(approval: Approval, approver: Approver) -> bool:
    try:
        signature = base64.b64decode(approval.signature, validate=True)
    except (ValueError, binascii.Error):
        return False
    return signing.is_signed(approver.public, signature, _PURPOSE, approval.statement)


def _refused(detail: str) -> ApprovalError:
    return ApprovalError("the approval does not count", detail=detail)


def _people(approvers: Iterable[Approver]) -> str:
    return ", ".join(one.name for one in approvers)
