"""Recover: choose → one person says yes → set aside → restore → replay → start → ask → send people → record."""

from __future__ import annotations

from prefect import flow

from coffer import environments
from tasks import recovering


@flow(name="recover", flow_run_name="{environment}")
def recover_service(environment: str, time: str = "latest", image: str = "") -> dict[str, object]:
    """Bring a service back at its own place. A half done recovery is gone on with, whoever began it.

    What stands at its places is renamed, never deleted. The run suspends once, with the plan, and goes on when a
    person types the service's name. Without Prefect the same is done by `coffer recover`.

    Args:
        environment: Name of the environment.
        time: The moment to bring back, ISO 8601 with offset, or "latest".
        image: The image by digest; empty: the one that the vault says ran then.
    """
    environments.load(environment)
    recovery = recovering.choose(environment, time, image)
    recovering.wait_for_confirmation(environment, recovery)
    recovering.carry_out(environment, recovery)
    return recovering.report(environment, recovery)
