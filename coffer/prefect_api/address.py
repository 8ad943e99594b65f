"""Where the Prefect server is: the environment's word, else the local stack's."""

from __future__ import annotations

import json
import os
from pathlib import Path

from coffer.errors import UsageError


def server_address() -> str:
    """Return PREFECT_API_URL, or the address of the local stack if one is up.

    Raises:
        UsageError: Neither is there.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    default = Path("/var/lib/coffer") if os.geteuid() == 0 else Path.home() / ".local" / "state" / "coffer"
    document = Path(os.environ.get("COFFER_STATE") or default) / "stack.json"
    try:
        return str(json.loads(document.read_text())["prefect_api_url"])
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            "no Prefect server is known",
            detail="PREFECT_API_URL is not set, and no local stack is up",
            resolution="Run coffer stack up, or set PREFECT_API_URL to the server's address, ending in /api",
        ) from error
