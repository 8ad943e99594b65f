"""Serve the receiver on this machine: `python -m coffer.receivers`.

COFFER_RECEIVER_PORT         port on 127.0.0.1
COFFER_RECEIVER_SECRET_FILE  file with the secret that the registry sends as `Authorization: Bearer …`
COFFER_RECEIVER_REGISTRY     the registry's address as environment files write it (default: what the notification says)
PREFECT_API_URL              where events go (PREFECT_API_AUTH_STRING, if it wants a password)
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import uvicorn

from coffer.errors import CofferError, UsageError
from coffer.prefect_api import PrefectApi
from coffer.receivers.app import create_app


def main() -> int:
    """Serve until the process is ended; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # httpx logs each request with its address; the events themselves are logged above.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        # One short try and one more: the registry waits for the answer, and knocks again by itself.
        api = PrefectApi.from_environment(attempts=2, timeout=5.0)
        app = create_app(api, _secret(), registry=os.environ.get("COFFER_RECEIVER_REGISTRY", ""))
        port = _port()
    except CofferError as error:
        print(f"coffer: {error}", file=sys.stderr)
        return error.exit_code
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
    return 0


def _secret() -> str:
    path = os.environ.get("COFFER_RECEIVER_SECRET_FILE", "")
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "the receiver's secret cannot be read", detail=str(error), resolution="Set COFFER_RECEIVER_SECRET_FILE"
        ) from error


def _port() -> int:
    text = os.environ.get("COFFER_RECEIVER_PORT", "")
    if not (text.isdigit() and 0 < int(text) < 65536):
        raise UsageError(f"'{text}' is not a port", resolution="Set COFFER_RECEIVER_PORT")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
