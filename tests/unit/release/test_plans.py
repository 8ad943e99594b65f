"""A plan is a value: it survives JSON, hashes by what it says, and refuses what may not be planned."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.errors import RefusedByPolicy, UsageError
from coffer.release.canonical import canonical, digest
from coffer.release.findings import Finding, ScanReport, ScanStatus, Severity
from coffer.release.gates import GatePolicy, judge
from coffer.release.images import ImageReference
from coffer.release.observed import Colour, ObservedColour, ObservedService, Released
from coffer.release.plan import RecoveryPoint, ReleasePlan, RollbackProof, RolloutPolicy
from coffer.release.planner import PlanFacts, plan_release
from coffer.release.rollback import plan_rollback, steps_back
from coffer.release.service import SecretReference
from coffer.release.steps import Migration, Remove, Start, Switch
from tests.unit.release.release_facts import NEW, OLD, REPOSITORY, SPEC, empty_host, facts, instance, serving_blue

_words = st.text(st.characters(codec="utf-8"), max_size=20)
_digests = st.integers(0, 2**256 - 1).map(lambda number: f"sha256:{number:064x}")
_images = _digests.map(lambda digest: ImageReference(REPOSITORY, digest))
_colours = st.sampled_from(Colour)
_instances = st.builds(
    ObservedColour,
    exists=st.just(True),
    running=st.booleans(),
    healthy=st.booleans(),
    image=_images.map(str),
    settings_hash=st.sampled_from([SPEC.settings_hash, "other"]),
    release=st.sampled_from(["r1", "r2"]),
    address=st.just("172.18.0.2:3000"),
    proxy_address=st.sampled_from(["", "172.18.0.2:3000"]),
    proxy_up=st.booleans(),
) | st.just(ObservedColour())
_observations = st.builds(
    ObservedService,
    service=st.just("creditai"),
    environment=st.just("production"),
    active=st.none() | _colours,
    persisted=st.none() | _colours,
    blue=_instances,
    green=_instances,
    generation=st.integers(0, 1000),
    claimed_by=st.sampled_from(["", "r1", "r2"]),
    intent=st.none() | _colours,
    current=st.none() | st.builds(Released, st.just("r1"), _images.map(str), _colours),
    previous=st.none() | st.builds(Released, st.just("r0"), _images.map(str), _colours),
)
_facts = st.builds(
    PlanFacts,
    release=st.sampled_from(["r1", "r2"]),
    service=st.builds(
        replace,
        st.just(SPEC),
        settings=st.dictionaries(_words, _words, max_size=3),
        secrets=st.dictionaries(_words, st.builds(SecretReference, _words, _words), max_size=2),
        cpus=st.floats(0.1, 4),
    ),
    image=_images,
    requested_by=_words,
    sbom=_words,
    recovery_point=st.none() | st.builds(RecoveryPoint, _words, _words),
    rollback_proof=st.builds(RollbackProof, _words, st.booleans(), st.booleans(), _words),
)


@given(_observations, _facts)
def test_a_plan_survives_json_with_the_same_hash(observed: ObservedService, asked: PlanFacts) -> None:
    plan = plan_release(observed, asked, RolloutPolicy())
    again = ReleasePlan.from_json(plan.to_json())
    assert again == plan
    assert again.hash == plan.hash
    assert ReleasePlan.from_json(json.dumps(json.loads(plan.to_json()), indent=3)).hash == plan.hash


@given(_observations, _facts)
def test_no_plan_touches_what_serves_before_it_switched(observed: ObservedService, asked: PlanFacts) -> None:
    plan = plan_release(observed, asked, RolloutPolicy())
    assert plan.new is not observed.active
    assert bool(plan.steps) != bool(plan.nothing_to_do)
    switch = next((n for n, step in enumerate(plan.steps) if isinstance(step, Switch)), 0)
    touched = {getattr(step, "colour", None) for step in plan.steps[:switch]}
    assert observed.active is None or observed.active not in touched


@given(_observations, _facts)
def test_no_way_back_removes_what_serves_before_it_switched_back(observed: ObservedService, asked: PlanFacts) -> None:
    plan = plan_release(observed, asked, RolloutPolicy())
    half_way = replace(observed, claimed_by=plan.release, active=plan.new, persisted=plan.new)
    back = steps_back(plan, half_way)
    kinds = [type(step) for step in back]
    if Remove in kinds:
        assert Switch in kinds
        assert kinds.index(Switch) < kinds.index(Remove)
    assert steps_back(plan, replace(half_way, claimed_by="somebody else")) == ()


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | _words, lambda v: st.lists(v) | st.dictionaries(_words, v))
)
def test_canonical_json_is_json_and_does_not_depend_on_order(value: object) -> None:
    assert json.loads(canonical(value)) == value
    if isinstance(value, dict):
        assert digest(dict(reversed(value.items()))) == digest(value)


def test_nan_has_no_place_in_a_plan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"seconds": float("nan")})


@pytest.mark.parametrize(
    "change",
    [
        {"image": OLD},
        {"requested_by": "bob"},
        {"sbom": "x"},
        {"service": replace(SPEC, settings={"NODE_ENV": "test"})},
        {"service": replace(SPEC, secrets={"DATABASE_URL": SecretReference("block:database/creditai#url", "d" * 64)})},
        {"recovery_point": RecoveryPoint("p1", "2026-11-24T12:00:00Z")},
        {"rollback_proof": RollbackProof(str(OLD), pullable=True)},
        {"migrations": (Migration(version="001", name="001_a.sql", sha256="0" * 64),)},
    ],
)
def test_whatever_a_plan_rests_on_changes_its_hash(change: dict[str, object]) -> None:
    observed = replace(serving_blue(), blue=replace(serving_blue().blue, healthy=False))
    one = plan_release(observed, facts(), RolloutPolicy())
    assert plan_release(observed, replace(facts(), **change), RolloutPolicy()).hash != one.hash  # type: ignore[arg-type]
    assert plan_release(replace(observed, generation=5), facts(), RolloutPolicy()).hash != one.hash


def test_a_plan_is_refused_where_the_gate_refuses() -> None:
    hole = Finding("trivy", "CVE-1", Severity.CRITICAL, "openssl", "a hole", identity="CVE-1:openssl")
    report = ScanReport("trivy", ("os-vulnerabilities",), ScanStatus.COMPLETED, findings=(hole,))
    verdict = judge([report], [], GatePolicy(), [], datetime(2026, 11, 24, tzinfo=UTC))
    with pytest.raises(RefusedByPolicy, match="critical CVE-1 in openssl"):
        plan_release(serving_blue(), replace(facts(), verdict=verdict), RolloutPolicy())


def test_a_contracting_migration_is_refused() -> None:
    contract = Migration(version="009", name="009_drop.sql", sha256="0" * 64, phase="contract")
    with pytest.raises(RefusedByPolicy, match=r"009_drop\.sql"):
        plan_release(serving_blue(), replace(facts(), migrations=(contract,)), RolloutPolicy())


def test_what_is_no_plan_is_refused_as_one() -> None:
    with pytest.raises(UsageError, match="not a release plan"):
        ReleasePlan.from_json('{"kind": "release"}')


def _rollback(observed: ObservedService) -> ReleasePlan:
    return plan_rollback(observed, SPEC, RolloutPolicy(), release="b1", requested_by="ann", reason="a complaint")


def test_nothing_to_go_back_to_is_said() -> None:
    for observed in (empty_host(), serving_blue()):
        with pytest.raises(RefusedByPolicy, match="nothing to go back to"):
            _rollback(observed)


def test_while_the_old_one_still_runs_a_rollback_is_the_switch_alone() -> None:
    soaking = replace(
        serving_blue(),
        active=Colour.GREEN,
        persisted=Colour.GREEN,
        green=instance(NEW, Colour.GREEN, release="r2", healthy=False),
        claimed_by="r2",
        generation=5,
        intent=Colour.GREEN,
    )
    kinds = [type(step).__name__ for step in _rollback(soaking).steps]
    assert kinds == ["Claim", "Reopen", "WriteIntent", "Switch", "VerifySwitch", "Record", "Drain", "Stop"]


def test_before_the_switch_a_rollback_only_takes_the_new_one_away() -> None:
    starting = replace(serving_blue(), green=instance(NEW, Colour.GREEN, release="r2"), claimed_by="r2", generation=5)
    plan = _rollback(starting)
    assert [type(step).__name__ for step in plan.steps] == ["Claim", "ClearIntent", "LeaveProxy", "Remove"]
    assert plan.new is Colour.BLUE


def test_an_instance_that_is_gone_is_started_from_its_recorded_image() -> None:
    gone = replace(serving_blue(), previous=Released("r0", str(NEW), Colour.GREEN))
    start = next(step for step in _rollback(gone).steps if isinstance(step, Start))
    assert (start.image, start.colour) == (str(NEW), Colour.GREEN)
