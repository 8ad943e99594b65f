"""Tell people that something is wrong with recovery; started by Coffer's events."""

from __future__ import annotations

from prefect import flow

from tasks import alerts

_TITLES = {
    "coffer.point.missed": "a recovery point is missing",
    "coffer.promise.in_danger": "a promise is in danger",
    "coffer.drill.failed": "a recovery drill failed",
}


@flow(name="alert", flow_run_name="{environment}")
def alert_people(environment: str, event: str = "", detail: str = "") -> int:
    """Send one message.

    Args:
        environment: Name of the environment.
        event: What happened: the event that started this.
        detail: The event's own words.
    """
    title = f"Coffer: {environment}: {_TITLES.get(event, event or 'a word from an operator')}"
    told: int = alerts.tell(environment, title, detail or "See the run's artifacts in Prefect.")
    return told
