"""What was done, to what, on whose word: signed and chained, on the host it was done to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect.runtime import flow_run

from coffer import environments
from coffer.ledger import FolderStorage, Ledger
from coffer.ledger.key_file import load_or_create
from coffer.release.plan import ReleasePlan
from coffer.targets.protocol import StepOutcome
from tasks import artifacts, events, hosts
from tasks.policies import acting


@dataclass(frozen=True)
class ReleaseRecord:
    """A release or rollback that was carried out.

    Attributes:
        environment: Where.
        image: What serves now.
        plan: Hash of the plan.
        entry: Number of its entry in the ledger.
        seconds: Time that its steps took.
    """

    environment: str
    image: str
    plan: str
    entry: int
    seconds: float


@acting("write the ledger")
def record(environment: str, act: str, subject: str, detail: Mapping[str, Any]) -> int:
    """Append an entry, once for this run, and return its number."""
    # One ledger for all environments of a host, beside their directories: where `coffer ledger` looks.
    folder = Path(str(hosts.docker_host(environments.load(environment))["directory"])).parent
    ledger = Ledger.open(FolderStorage(folder / "ledger"), load_or_create(folder / "secrets" / "ledger.key"))
    told = {"environment": environment, **detail}
    return ledger.append(act, subject, told, datetime.now(UTC), request=f"{flow_run.id}/{subject}").number


def record_release(plan: ReleasePlan, outcomes: Sequence[StepOutcome]) -> ReleaseRecord:
    """Write down that a plan was carried out, and tell."""
    seconds = round(sum(outcome.seconds for outcome in outcomes), 3)
    detail = {
        "image": plan.image,
        "before": plan.old_image,
        "plan": plan.hash,
        "requested_by": plan.requested_by,
        "reason": plan.reason,
        "seconds": seconds,
    }
    number = record(plan.environment, f"{plan.kind}.done", plan.release, detail)
    event = "coffer.release.switched" if plan.kind == "release" else "coffer.release.rolled_back"
    events.emit(event, plan.service.name, {"environment": plan.environment, "image": plan.image})
    lines = artifacts.markdown_table(("", ""), [*detail.items(), ("ledger entry", number)])
    artifacts.report("result", f"{plan.service.name} in {plan.environment}: {plan.kind} done", lines)
    return ReleaseRecord(plan.environment, plan.image, plan.hash, number, seconds)
