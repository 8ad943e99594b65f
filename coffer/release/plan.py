"""The plan: what will be done, in which order, and everything that this rests on. Its hash is what people approve."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

import msgspec

from coffer.errors import UsageError
from coffer.release.canonical import canonical, digest
from coffer.release.gates import Verdict
from coffer.release.observed import Colour
from coffer.release.service import ServiceSpec
from coffer.release.steps import AnyStep, Migration


@dataclass(frozen=True)
class RolloutPolicy:
    """How a switch is made.

    Attributes:
        healthy_times: Times in a row that a new instance must be healthy.
        proxy_within: Seconds until the proxy must see it up.
        smoke_requests: Requests that warm it up.
        verify_requests: Fresh requests in a row that the new colour must have answered after the switch.
        http_drain: Seconds for requests in flight.
        websocket_drain: Seconds for WebSockets after they were told to come again.
        soak: Seconds to watch before the old instance is stopped.
        tolerated_errors: Share of 5xx that the soak accepts.
    """

    healthy_times: int = 3
    proxy_within: float = 15.0
    smoke_requests: int = 20
    verify_requests: int = 10
    http_drain: float = 30.0
    websocket_drain: float = 30.0
    soak: float = 30.0
    tolerated_errors: float = 0.001


@dataclass(frozen=True)
class RecoveryPoint:
    """The point that stands behind a release.

    Attributes:
        name: Its name in the vault.
        taken_at: When, ISO 8601.
        rule: What has to be so again directly before the first step.
    """

    name: str
    taken_at: str
    rule: str = "a second point, at most 5 minutes old, directly before expand"


@dataclass(frozen=True)
class RollbackProof:
    """Why going back is possible.

    Attributes:
        image: What it would go back to; empty at a first release.
        pullable: The registry has it.
        schema: The old version was seen working with the new schema.
        how: What was done to know.
    """

    image: str = ""
    pullable: bool = False
    schema: bool = False
    how: str = ""


@dataclass(frozen=True)
class VerdictSummary:
    """The gate's verdict as the plan carries it.

    Attributes:
        passed: Whether it passed.
        hash: Hash over all findings and reasons; the whole verdict is in the ledger.
        reasons: `refuse …` and `accept …`, one line each.
        exceptions: Exceptions used, in words.
        findings: Number of findings by severity.
    """

    passed: bool
    hash: str
    reasons: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    findings: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, verdict: Verdict) -> VerdictSummary:
        """Sum a verdict up."""
        counts: dict[str, int] = {}
        for finding in verdict.findings:
            counts[finding.severity] = counts.get(finding.severity, 0) + 1
        return cls(
            verdict.passed,
            verdict.hash,
            tuple(f"{reason.decision} {reason.subject}: {reason.text}" for reason in verdict.reasons),
            tuple(f"{exception.finding} {exception.describe()}" for exception in verdict.exceptions),
            counts,
        )


class PlanKind(StrEnum):
    """What a plan is for."""

    RELEASE = "release"
    ROLLBACK = "rollback"


class ReleasePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One release or rollback of one service in one environment.

    Attributes:
        kind: Release or rollback.
        release: Id of the release; derives from the request, so that a retry has the same.
        service: What runs, without any secret's value.
        image: `repository@sha256:…` that will serve.
        requested_by: Who asked.
        generation: The environment's generation that this was planned on.
        old: Colour that serves when it begins; None if nobody does.
        old_image: What it runs.
        new: Colour that will serve.
        steps: Forward, in order.
        nothing_to_do: Why there are no steps; empty if there are some.
        sbom: SHA-256 of the bill of materials.
        verdict: What the gate said.
        migrations: SQL files still to be applied.
        recovery_point: The point behind it.
        rollback_proof: Why going back is possible.
        drift: What was found other than recorded.
        reason: Why, for a rollback.
    """

    kind: PlanKind
    release: str
    service: ServiceSpec
    image: str
    requested_by: str
    generation: int
    old: Colour | None
    old_image: str = ""
    new: Colour
    steps: tuple[AnyStep, ...] = ()
    nothing_to_do: str = ""
    sbom: str = ""
    verdict: VerdictSummary | None = None
    migrations: tuple[Migration, ...] = ()
    recovery_point: RecoveryPoint | None = None
    rollback_proof: RollbackProof = RollbackProof()
    drift: tuple[str, ...] = ()
    reason: str = ""

    @property
    def hash(self) -> str:
        """SHA-256 over the canonical JSON: what an approval is bound to."""
        return digest(self)

    @property
    def environment(self) -> str:
        """The environment it is for."""
        return self.service.environment

    @property
    def within(self) -> timedelta:
        """The longest that its steps may take, for a lease."""
        waits = ("within", "http_within", "websocket_within", "seconds")
        total = sum(float(getattr(step, name, 0.0)) for step in self.steps for name in waits)
        return timedelta(seconds=total + 60)

    def to_json(self) -> str:
        """Return the canonical JSON."""
        return canonical(self).decode()

    @classmethod
    def from_json(cls, text: str) -> ReleasePlan:
        """Read what `to_json` wrote.

        Raises:
            UsageError: It is no plan.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError as error:
            raise UsageError("this is not a release plan", detail=str(error)) from error

    def describe(self) -> tuple[str, ...]:
        """Return the steps for people, one line each, or why there are none."""
        if not self.steps:
            return (f"nothing to do: {self.nothing_to_do}",)
        return tuple(step.describe() for step in self.steps)
