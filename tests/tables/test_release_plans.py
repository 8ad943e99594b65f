"""Facts in, steps out, from release_plans.toml."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coffer.release.observed import Colour, ObservedService
from coffer.release.plan import RolloutPolicy
from coffer.release.planner import plan_release
from coffer.release.steps import Migration
from tests.unit.release.release_facts import NEW, OLD, empty_host, facts, instance

_CASES = tomllib.loads(Path(__file__).with_name("release_plans.toml").read_text())["case"]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["name"])
def test_plan(case: dict[str, Any]) -> None:
    files = tuple(
        Migration(version=name.partition("_")[0], name=name, sha256="0" * 64) for name in case.get("migrations", [])
    )
    plan = plan_release(_observed(**case["observed"]), replace(facts(), migrations=files), RolloutPolicy())
    described = list(plan.describe())
    assert (plan.old or "", str(plan.new)) == (case["old"], case["new"])
    if "nothing" in case:
        assert described == [f"nothing to do: {case['nothing']}"]
    if "steps" in case:
        assert described == case["steps"]
    if "first" in case:
        assert described[: len(case["first"])] == case["first"]
    assert not set(described) & set(case.get("absent", []))
    assert list(plan.drift) == case.get("drift", [])


def _observed(**given: Any) -> ObservedService:
    active = Colour(given["active"]) if "active" in given else None
    observed = replace(
        empty_host(),
        active=active,
        persisted=Colour(given["persisted"]) if "persisted" in given else active,
        generation=given.get("generation", 0),
        migrations=tuple(given.get("migrations", ())),
    )
    for colour in Colour:
        if colour in given:
            observed = replace(observed, **{str(colour): _instance(colour, **given[colour])})
    return observed


def _instance(colour: Colour, image: str, **changes: Any):
    running = changes.pop("running", True)
    return replace(instance({"old": OLD, "new": NEW}[image], colour, running=running), **changes)
