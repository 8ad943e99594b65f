"""Retention: what holds for all points and policies; single cases are in tests/tables/retention.toml."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.errors import UsageError
from coffer.vault.retention import Candidate, Decision, Proven, RetentionPolicy, decide

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
FEW = settings(max_examples=40, deadline=None)
COUNTS = st.integers(0, 4)
POLICIES = st.builds(
    RetentionPolicy,
    keep_last=st.integers(1, 5),
    keep_days=st.integers(0, 40),
    keep_daily=COUNTS,
    keep_weekly=COUNTS,
    keep_monthly=COUNTS,
    keep_yearly=COUNTS,
    keep_verified=COUNTS,
    require_proof=st.sampled_from(("none", "read-back", "drill")),
    grace_hours=st.floats(1, 100),
)


@st.composite
def points(draw: st.DrawFn) -> list[Candidate]:
    """Points of two services: a counter that rises with time, any proofs, damage and locks."""
    found = []
    for service in ("app", "other"):
        ages = draw(st.lists(st.integers(0, 12_000), max_size=15, unique=True))
        for counter, age in enumerate(sorted(ages, reverse=True)):
            locked = draw(st.none() | st.integers(-50, 50))
            found.append(
                Candidate(
                    service,
                    f"{service}-{counter}",
                    counter,
                    NOW - timedelta(hours=age),
                    draw(st.sampled_from(Proven)),
                    draw(st.booleans()),
                    None if locked is None else NOW + timedelta(hours=locked),
                )
            )
    return found


def by_rules(decision: Decision) -> set[str]:
    return {each.point.name for each in decision.verdicts if each.keep and not each.held}


def kept(decision: Decision) -> set[str]:
    return {each.point.name for each in decision.verdicts if each.keep}


@FEW
@given(points(), POLICIES)
def test_the_newest_the_newest_whole_and_the_newest_proven_stay(
    every: list[Candidate], policy: RetentionPolicy
) -> None:
    decision = decide(every, policy, NOW)
    assert [each.point for each in decision.verdicts] == every
    assert all(each.reason for each in decision.verdicts)
    for service in ("app", "other"):
        mine = [each for each in every if each.service == service]
        whole = [each for each in mine if not each.damaged]
        proven = [each for each in whole if each.proven]
        assert {each.name for each in (*mine[-1:], *whole[-1:], *proven[-1:])} <= by_rules(decision)


@FEW
@given(points(), POLICIES, st.randoms(use_true_random=False))
def test_order_of_the_facts_changes_nothing(every: list[Candidate], policy: RetentionPolicy, luck: object) -> None:
    shuffled = list(every)
    luck.shuffle(shuffled)  # type: ignore[attr-defined]
    assert decide(shuffled, policy, NOW) == decide(every, policy, NOW)


@FEW
@given(points(), POLICIES)
def test_deciding_again_over_what_stayed_removes_nothing(every: list[Candidate], policy: RetentionPolicy) -> None:
    stay = kept(decide(every, policy, NOW))
    again = decide([each for each in every if each.name in stay], policy, NOW)
    assert kept(again) == stay


@FEW
@given(points(), POLICIES, POLICIES)
def test_more_rules_never_keep_less(every: list[Candidate], policy: RetentionPolicy, more: RetentionPolicy) -> None:
    both = policy.at_least(more)
    assert by_rules(decide(every, policy, NOW)) <= by_rules(decide(every, both, NOW))
    assert both.at_least(policy) == both == more.at_least(policy)
    assert both.grace_hours == max(policy.grace_hours, more.grace_hours)


@FEW
@given(points(), POLICIES)
def test_what_the_root_signed_cannot_be_undercut(every: list[Candidate], policy: RetentionPolicy) -> None:
    signed = RetentionPolicy.signed(policy.as_keys())
    assert signed == policy
    least = by_rules(decide(every, signed, NOW))
    assert least <= by_rules(
        decide(every, signed.at_least(RetentionPolicy(require_proof="none", grace_hours=0.1)), NOW)
    )


@FEW
@given(points(), POLICIES)
def test_damage_never_makes_another_point_go(every: list[Candidate], policy: RetentionPolicy) -> None:
    """Finding damage may let the damaged point go, never a whole one."""
    before = by_rules(decide(every, policy, NOW))
    for number, each in enumerate(every):
        worse = [*every[:number], replace(each, damaged=True), *every[number + 1 :]]
        assert before - {each.name} <= by_rules(decide(worse, policy, NOW))


@FEW
@given(points(), POLICIES)
def test_nothing_goes_without_the_proof_that_was_asked_for(every: list[Candidate], policy: RetentionPolicy) -> None:
    decision = decide(every, policy, NOW)
    needed = {"none": 0, "read-back": 1, "drill": 2}[policy.require_proof]
    for service in {each.point.service for each in decision.verdicts if not each.keep}:
        mine = [each.point for each in decision.verdicts if each.keep and each.point.service == service]
        assert not needed or any(each.proven >= needed and not each.damaged for each in mine)
    assert {each.point.service for each in decision.verdicts if each.held} == {
        each.service for each in decision.refusals
    }


@pytest.mark.parametrize(
    "text",
    [
        "keep-lots = 1",
        "keep-last = 0",
        "keep-last = 'x'",
        "keep-days = -1",
        "grace-hours = 0",
        "grace-hours = nan",
        "require-proof = 'word'",
        "= 1",
    ],
)
def test_a_policy_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "policy").write_text(text)
    with pytest.raises(UsageError, match="policy"):
        RetentionPolicy.load(tmp_path / "policy")


def test_a_policy_file_gives_its_keys_back(tmp_path: Path) -> None:
    (tmp_path / "policy").write_text("keep-days = 30\nkeep-yearly = 2\ngrace-hours = 12\nrequire-proof = 'drill'\n")
    policy = RetentionPolicy.load(tmp_path / "policy")
    assert (policy.keep_days, policy.keep_yearly, policy.grace_hours, policy.require_proof) == (30, 2, 12.0, "drill")
    assert RetentionPolicy.parse(policy.as_keys(), "keys") == policy
    assert set(policy.as_keys()) == {field.encode_name for field in msgspec.structs.fields(RetentionPolicy)}
    with pytest.raises(UsageError, match="cannot be read"):
        RetentionPolicy.load(tmp_path / "none")


def test_where_the_root_said_nothing_one_point_and_a_days_grace_are_kept() -> None:
    unsaid = RetentionPolicy.signed({})
    assert (unsaid.keep_last, unsaid.keep_days, unsaid.grace_hours, unsaid.require_proof) == (1, 0, 24.0, "none")
