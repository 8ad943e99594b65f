"""The receiver of the registry's notifications."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from coffer.stack.readiness import port_accepts
from coffer.stack.service import Service


def receiver(name: str, port: int, secret_file: Path, registry: str, prefect: Mapping[str, str]) -> Service:
    """Return the receiver, which turns a push into a Prefect event.

    Args:
        name: Service name.
        port: Port on 127.0.0.1.
        secret_file: What the registry must show.
        registry: The registry's address as environment files write it.
        prefect: Variables of a client of the Prefect server.
    """
    return Service(
        name=name,
        argv=(sys.executable, "-m", "coffer.receivers"),
        ready=port_accepts(port),
        address=f"http://127.0.0.1:{port}",
        ports=(port,),
        environment={
            **prefect,
            "COFFER_RECEIVER_PORT": str(port),
            "COFFER_RECEIVER_SECRET_FILE": str(secret_file),
            "COFFER_RECEIVER_REGISTRY": registry,
        },
        after=("prefect",),
    )
