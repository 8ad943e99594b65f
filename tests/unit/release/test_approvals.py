"""An approval carries one plan, in one place, for a time, by somebody who may."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from coffer.errors import ApprovalError, UsageError
from coffer.keys import signing
from coffer.release.approval import (
    Approval,
    ApprovalPolicy,
    Approver,
    Choice,
    approve,
    check_approval,
    check_approvals,
    read_public_key,
)
from coffer.release.exceptions import GateException
from coffer.release.plan import ReleasePlan, RolloutPolicy
from coffer.release.planner import plan_release
from coffer.release.standing import check_exceptions, check_stands
from tests.unit.release.release_facts import facts, serving_blue

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOURS = timedelta(hours=4)
BOB, EVE = bytes(range(32)), bytes(range(1, 33))
POLICY = ApprovalPolicy(
    1,
    ("release",),
    (
        Approver("bob", signing.public_key(BOB), ("release",)),
        Approver("eve", signing.public_key(EVE), ("release", "audit")),
        Approver("ann", signing.public_key(b"a" * 32), ("release",)),
    ),
)
PLAN = plan_release(serving_blue(), facts(), RolloutPolicy())


def _by(name: str, secret: bytes, plan: ReleasePlan = PLAN, role: str = "release", **how: object) -> Approval:
    return approve(plan, by=name, role=role, secret=secret, now=NOW, valid_for=HOURS, **how)  # type: ignore[arg-type]


def test_a_good_approval_carries_the_plan_and_survives_json() -> None:
    approval = Approval.from_json(_by("bob", BOB).to_json())
    assert check_approvals(PLAN, [approval], POLICY, NOW) == (approval,)


@pytest.mark.parametrize(
    ("approval", "why"),
    [
        (_by("bob", EVE), "signature"),
        (replace(_by("bob", BOB), until=NOW + 9 * HOURS), "signature"),
        (replace(_by("bob", BOB), signature="bm8="), "signature"),
        (replace(_by("bob", BOB), signature="?"), "signature"),
        (_by("mallory", EVE), "no such approver"),
        (_by("bob", BOB, plan_release(serving_blue(), facts("r9"), RolloutPolicy())), "another plan"),
        (replace(_by("bob", BOB), environment="staging", signature="").signed(BOB), "is for staging"),
        (_by("bob", BOB, role="audit"), "role audit"),
        (_by("eve", EVE, role="audit"), "role audit"),
        (_by("ann", b"a" * 32), "person who asked"),
        (replace(_by("bob", BOB), given_at=NOW + HOURS, signature="").signed(BOB), "future"),
    ],
)
def test_what_does_not_count_says_why(approval: Approval, why: str) -> None:
    with pytest.raises(ApprovalError, match=why):
        check_approvals(PLAN, [approval], POLICY, NOW)


def test_an_approval_ends_by_its_own_time_and_by_the_policys() -> None:
    approval = _by("bob", BOB)
    check_approval(PLAN, approval, POLICY, NOW + HOURS - timedelta(seconds=1))
    with pytest.raises(ApprovalError, match="too late"):
        check_approvals(PLAN, [approval], POLICY, NOW + HOURS)
    with pytest.raises(ApprovalError, match="too late"):
        check_approvals(PLAN, [approval], replace(POLICY, valid_for=timedelta(hours=1)), NOW + timedelta(hours=2))


def test_the_requester_may_approve_only_where_the_file_says_so() -> None:
    own = _by("ann", b"a" * 32)
    assert check_approvals(PLAN, [own], replace(POLICY, requester_may_approve=True), NOW)


def test_two_are_two_people_not_two_signatures() -> None:
    two = replace(POLICY, needed=2)
    with pytest.raises(ApprovalError, match="1 of 2"):
        check_approvals(PLAN, [_by("bob", BOB), _by("bob", BOB)], two, NOW)
    assert len(check_approvals(PLAN, [_by("bob", BOB), _by("eve", EVE)], two, NOW)) == 2


def test_one_key_under_two_names_is_one_person() -> None:
    twin = Approver("bobby", signing.public_key(BOB), ("release",))
    two = replace(POLICY, needed=2, approvers=(*POLICY.approvers, twin))
    with pytest.raises(ApprovalError, match="1 of 2"):
        check_approvals(PLAN, [_by("bob", BOB), _by("bobby", BOB)], two, NOW)


def test_a_rejection_needs_a_reason_and_ends_it() -> None:
    with pytest.raises(ApprovalError, match="needs a reason"):
        _by("bob", BOB, choice=Choice.REJECT)
    rejection = _by("eve", EVE, choice=Choice.REJECT, reason="it is Friday")
    with pytest.raises(ApprovalError, match="eve rejected this plan: it is Friday"):
        check_approvals(PLAN, [_by("bob", BOB), rejection], POLICY, NOW)


def test_nobody_needed_means_nobody_asked() -> None:
    assert check_approvals(PLAN, [], replace(POLICY, needed=0), NOW) == ()


def test_what_is_no_approval_is_refused_as_one() -> None:
    with pytest.raises(ApprovalError, match="not an approval"):
        Approval.from_json('{"plan": 3}')


def test_keys_are_ssh_lines_or_base64() -> None:
    key = Ed25519PrivateKey.from_private_bytes(BOB).public_key()
    line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " bob@example"
    assert read_public_key(line) == signing.public_key(BOB)
    assert read_public_key(base64.b64encode(signing.public_key(BOB)).decode()) == signing.public_key(BOB)
    for wrong in ("ssh-rsa AAAA", "AQ==", "not base64!", ""):
        with pytest.raises(UsageError):
            read_public_key(wrong)


def test_a_plan_stands_until_the_world_moves() -> None:
    observed = serving_blue()
    check_stands(PLAN, observed)
    check_stands(PLAN, replace(observed, generation=5, claimed_by="r2"))
    for moved, why in (
        (replace(observed, generation=5, claimed_by="r7"), "r7 has acted since"),
        (replace(observed, active=None), "nobody serves"),
        (replace(observed, blue=replace(observed.blue, image="x")), "blue runs x"),
    ):
        with pytest.raises(ApprovalError, match=why):
            check_stands(PLAN, moved)


def test_an_exception_that_ran_out_voids_the_plan() -> None:
    exception = GateException("CVE-1", "why", "ann", NOW + HOURS)
    check_exceptions([exception], NOW)
    with pytest.raises(ApprovalError, match="CVE-1 no longer counts"):
        check_exceptions([exception], NOW + HOURS)
