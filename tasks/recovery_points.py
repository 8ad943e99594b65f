"""Taking recovery points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from prefect import get_run_logger
from prefect.runtime import flow_run

from coffer import environments
from coffer.environments import facts
from coffer.errors import NotInEveryStore
from coffer.recovery.taking import take_point
from coffer.vault.capture import Fact
from coffer.vault.points import Point
from tasks import artifacts, events
from tasks.policies import remembered
from tasks.targets import open_target


@dataclass(frozen=True)
class TakenPoint:
    """A committed point as flows pass it on: names and numbers, no content.

    Attributes:
        name: Its name in the vault.
        kind: `full`, `incremental` or `differential`: what was really done.
        finished: When it was committed.
        size: Bytes that a restore gives back.
        stored: Bytes that it added to the vault.
        stores: Addresses of the stores that have it.
        missing: What a store that was away said; empty if every store has it.
    """

    name: str
    kind: str
    finished: datetime
    size: int
    stored: int
    stores: tuple[str, ...]
    missing: str = ""


@remembered("take recovery point")
def take(environment: str, kind: str, moment: str) -> TakenPoint:
    """Capture every source of a service and commit the point, once per run and moment.

    Args:
        environment: Name of the environment.
        kind: `auto`, `full`, `incremental` or `differential`.
        moment: What this point is for: `before-plan`, `before-expand`, `schedule`.

    Raises:
        CofferError: Whatever stopped it; nothing was committed then.
    """
    logger = get_run_logger()
    settings = environments.load(environment)
    request = f"{flow_run.id}/{moment}"
    missing = ""
    try:
        point = take_point(settings, kind, facts=_facts(settings, moment), request=request, report=logger.info)
    except NotInEveryStore as error:
        missing, point = str(error), error.point
        logger.warning(missing)
    taken = _summary(point, missing)
    artifacts.table(
        f"recovery-point-{moment}",
        [
            {
                "point": taken.name,
                "kind": taken.kind,
                "restores": artifacts.size(taken.size),
                "added": artifacts.size(taken.stored),
                "stores": len(taken.stores),
                "not in": missing,
            }
        ],
        f"Recovery point of {settings.service.name}, {moment}",
    )
    events.emit("coffer.point.taken", settings.service.name, {"point": taken.name, "environment": environment})
    return taken


def _facts(settings: environments.Environment, moment: str) -> dict[str, Fact]:
    """Say why the point was taken, and what ran then: a recovery brings that very image back."""
    serving = open_target(settings).observe(facts.service_spec(settings)).serving
    return {"moment": moment, "image": serving.image if serving else ""}


def begin_before_plan(environment: str) -> Callable[[], TakenPoint | None]:
    """Begin to prove that recovery works before a release is planned: it goes on beside scans and tests.

    Returns:
        What waits for the point; it gives None where the environment protects nothing.
    """
    if environments.load(environment).recovery is None:
        return lambda: None
    taken: Callable[[], TakenPoint | None] = take.submit(environment, "auto", "before-plan").result
    return taken


def before_expand(environment: str) -> TakenPoint | None:
    """Take the point that a failed migration would be recovered from, directly before the first act."""
    if environments.load(environment).recovery is None:
        return None
    taken: TakenPoint = take(environment, "auto", "before-expand")
    return taken


def _summary(point: Point, missing: str) -> TakenPoint:
    return TakenPoint(
        point.name, point.kind.value, point.finished, point.size, point.stored, tuple(point.stores), missing
    )
