"""Watching what was promised: told before it is broken, and mended where a recovery point mends it."""

from __future__ import annotations

from prefect import get_run_logger

from coffer import environments
from coffer.errors import CofferError
from coffer.prefect_api import PrefectApi
from coffer.recovery.outlook import look
from coffer.recovery.promises import Outlook
from coffer.recovery.watch import keep_metrics
from tasks import artifacts, events
from tasks.policies import acting


@acting("look at the promises")
def look_at(environment: str) -> Outlook:
    """Read what a disaster now would cost, say it in an artifact and in the metrics file, and tell of trouble.

    Raises:
        CofferError: The vault cannot be read.
    """
    settings, logger = environments.load(environment), get_run_logger()
    outlook = look(settings)
    _show(environment, outlook)
    for promise in outlook.promises:
        logger.info("%s", promise)
    for promise in outlook.troubled:
        event = events.POINT_MISSED if promise.name == "point" else events.PROMISE_IN_DANGER
        payload = {
            "environment": environment,
            "promise": promise.name,
            "state": promise.state.value,
            "seconds": promise.seconds,
            "limit": promise.limit,
            "detail": promise.detail,
        }
        events.emit(event, settings.service.name, payload)
    try:
        keep_metrics(settings, outlook)
    except CofferError as error:  # the promises stand or fall without it
        logger.warning("%s", error)
    return outlook


@acting("take a point before the promise is broken")
def act_on(environment: str, outlook: Outlook) -> str:
    """Start an incremental where it shortens a recovery that would take too long, or where a point was missed.

    For one newest point that is done once, for a missed one once an hour: what fails each time helps nobody.

    Returns:
        Name of the run; empty where none was needed.

    Raises:
        NotThere: The deployment was never applied.
    """
    if not (outlook.point_helps or outlook.missed):
        return ""
    known = outlook.known
    key = f"watch-{environment}-{known.point}" + (f"-{known.now:%Y-%m-%dT%H}" if outlook.missed else "")
    parameters = {"environment": environment, "kind": "auto"}
    started = PrefectApi.from_environment().start(f"backup/{environment}-on-demand", parameters, key=key)
    get_run_logger().warning("run %s takes a point: %s", started.run.name, "; ".join(map(str, outlook.troubled)))
    return started.run.name


def _show(environment: str, outlook: Outlook) -> None:
    rows = [
        {"promise": promise.name, "state": promise.state.value, "detail": promise.detail}
        for promise in outlook.promises
    ]
    title = f"A disaster in {environment} now: {outlook.forecast or 'nothing to come back from'}"
    artifacts.table(f"promises-{environment}", rows, title)
