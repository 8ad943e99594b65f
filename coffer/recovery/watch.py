"""A dead man's switch: whoever waits for a ping, or looks at a file's age, needs no Prefect to notice a silence."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from coffer.environments import Environment
from coffer.environments.references import resolve_text
from coffer.errors import CofferError, OutsideSystemError, UsageError
from coffer.recovery.access import recovery_of
from coffer.recovery.metrics import exposition, write
from coffer.recovery.outlook import look
from coffer.recovery.promises import Outlook
from coffer.vault.writer import VaultWriter

_TRIES = 3
_PAUSE = 0.5
_TIMEOUT = 5.0

Say = Callable[[str], None]


def point_taken(
    environment: Environment, say: Say = lambda _line: None, *, writer: VaultWriter | None = None
) -> Outlook | None:
    """Tell who watches that a good point is there; nothing that goes wrong here is the point's fault.

    Args:
        environment: Whose point.
        say: Called with a line for what could not be told.
        writer: The vault, where it is open already.

    Returns:
        How the promises stand now; None where that could not be read.
    """
    outlook = None
    try:
        outlook = look(environment, writer=writer)
        keep_metrics(environment, outlook)
    except (CofferError, OSError) as error:
        say(f"how the promises stand is not known: {error}")
    try:
        ping(environment)
    except (CofferError, OSError) as error:
        say(f"who waits for a sign of life was not told: {error}")
    return outlook


def keep_metrics(environment: Environment, outlook: Outlook) -> Path | None:
    """Write the metrics file, if one is named; returns where.

    Raises:
        UsageError: It cannot be written, or its name holds a variable that is not set.
    """
    named = recovery_of(environment).watch.metrics
    if not named:
        return None
    path = Path(os.path.expandvars(named)).expanduser()
    if "$" in str(path):
        raise UsageError(f"[recovery.watch] metrics = '{named}' names a variable that is not set")
    write(path, exposition(environment.name, environment.service.name, outlook))
    return path


def ping(environment: Environment, *, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Ask the address that waits for a sign of life; tells whether there is one.

    The address is a secret of its own: whoever knows it can feign life. So it is in no message.

    Raises:
        UsageError: It is no http or https address.
        OutsideSystemError: It did not answer 2xx, several times.
    """
    reference = recovery_of(environment).watch.ping
    if reference is None:
        return False
    import httpx

    address = resolve_text(reference)
    if not address.startswith(("https://", "http://")):
        raise UsageError(f"{reference} is no http address")
    problem = ""
    for attempt in range(_TRIES):
        if attempt:
            sleep(_PAUSE * 2**attempt)
        try:
            answer = httpx.get(address, timeout=_TIMEOUT, headers={"User-Agent": "coffer"})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            problem = type(error).__name__
            continue
        if answer.is_success:
            return True
        problem = f"it answers {answer.status_code}"
    raise OutsideSystemError(f"{reference} did not take the ping", detail=problem)
