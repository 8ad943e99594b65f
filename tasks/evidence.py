"""Everything that speaks for or against an image, and the gate's verdict on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prefect import get_run_logger

from coffer import environments
from coffer.environments import facts
from coffer.errors import RefusedByPolicy
from coffer.release.gates import Verdict, judge
from coffer.release.images import ImageReference
from coffer.release.outcomes import TestOutcome
from tasks import artifacts, scanning, testing
from tasks.policies import remembered
from tasks.scanning import Scanned


@dataclass(frozen=True)
class Evidence:
    """What a plan rests on.

    Attributes:
        verdict: What the gate said.
        sbom: SHA-256 of the bill of materials.
    """

    verdict: Verdict
    sbom: str


def gather(environment: str, image: ImageReference, source: Path | None) -> Evidence:
    """Scan and test an image beside each other, and judge.

    Raises:
        RefusedByPolicy: The gate refuses it; every reason is in the error and in the artifact.
    """
    folder = str(source) if source else ""
    scanned = scanning.scan.submit(environment, image, folder)
    tested = testing.test.submit(environment, image)
    evidence: Evidence = weigh(environment, scanned.result(), tested.result())
    return evidence


@remembered("judge")
def weigh(environment: str, scanned: Scanned, outcomes: tuple[TestOutcome, ...]) -> Evidence:
    """Judge reports and tests by the environment's gate.

    Raises:
        RefusedByPolicy: It refuses.
    """
    settings = environments.load(environment)
    verdict = judge(
        scanned.reports,
        outcomes,
        facts.gate_policy(settings),
        facts.gate_exceptions(settings),
        datetime.now(UTC),
    )
    rows = [{"": reason.decision, "about": reason.subject, "why": reason.text} for reason in verdict.reasons]
    word = "passed" if verdict.passed else "REFUSED"
    artifacts.table("verdict", rows, f"The gate of {environment}: {word}")
    get_run_logger().info("the gate of %s: %s", environment, word)
    if not verdict.passed:
        raise RefusedByPolicy(
            f"the gate of {environment} refuses this image",
            detail="; ".join(f"{reason.subject}: {reason.text}" for reason in verdict.refusals),
            resolution="Mend it, or take it on for a time with an exception that has an owner and an end",
        )
    return Evidence(verdict, scanned.sbom)
