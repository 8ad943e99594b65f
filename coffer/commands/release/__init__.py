"""`coffer release …`: ask for a release, watch it, say yes or no, go back, go on after a crash.

The flows run in Prefect; these commands speak to its API (coffer/prefect_api) and never import Prefect.
"""

import click

from coffer.commands.release import approvals, planning, runs


@click.group()
def release() -> None:
    """Release a service, approve, go back."""


for command in (planning.plan, runs.run, runs.status, runs.rollback, runs.resume):
    release.add_command(command)
for command in (approvals.approve, approvals.reject, approvals.approver_key):
    release.add_command(command)

__all__ = ["release"]
