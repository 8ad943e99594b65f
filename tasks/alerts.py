"""Telling people: over whatever channels the environment's file names."""

from __future__ import annotations

import apprise
from prefect import get_run_logger

from coffer import environments
from coffer.environments.references import resolve
from coffer.errors import OutsideSystemError, UsageError
from coffer.recovery.access import recovery_of
from tasks.policies import acting


@acting("tell people")
def tell(environment: str, title: str, text: str) -> int:
    """Send a message to every address that `[recovery.watch] tell` names; returns to how many.

    The addresses carry the channels' credentials: they are in no message.

    Raises:
        UsageError: No addresses are named, or one of them is none that Apprise knows.
        OutsideSystemError: A channel did not take the message.
    """
    reference = recovery_of(environments.load(environment)).watch.tell
    if reference is None:
        raise UsageError(f"{environment} names nobody to tell", resolution="Set [recovery.watch] tell")
    named = resolve(reference)
    addresses = [str(each) for each in named] if isinstance(named, list) else [str(named)]
    channels = apprise.Apprise()
    for number, address in enumerate(addresses, start=1):
        if not channels.add(address):
            raise UsageError(f"address {number} of {reference} is none that Apprise knows")
    if not channels.notify(title=title, body=text):
        raise OutsideSystemError("people could not be told", detail=f"a channel of {reference} took no message")
    get_run_logger().info("told %d: %s", len(addresses), title)
    return len(addresses)
