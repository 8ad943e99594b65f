"""Watch what was promised: forecast → tell → take a point before it is too late."""

from __future__ import annotations

from prefect import flow

from coffer import environments
from coffer.recovery.promises import Outlook
from tasks import promises


@flow(name="watch", flow_run_name="{environment}")
def watch_promises(environment: str) -> dict[str, str]:
    """Say what a disaster now would cost, and take a recovery point where that keeps a promise.

    Args:
        environment: Name of the environment.
    """
    environments.load(environment)
    outlook: Outlook = promises.look_at(environment)
    _: str = promises.act_on(environment, outlook)
    return {promise.name: promise.state.value for promise in outlook.promises}
