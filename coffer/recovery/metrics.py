"""How the promises stand, as Prometheus reads it: the text format, for the node exporter's textfile collector.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/. Times are written, not ages, so that an alert on
`time() - coffer_point_timestamp_seconds` goes on counting when nobody writes the file any more.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from coffer.errors import UsageError
from coffer.recovery.promises import Outlook, State

_STATES = {State.KEPT: 0, State.IN_DANGER: 1, State.BROKEN: 2}
_HELP = {
    "coffer_point_timestamp_seconds": "When the newest recovery point began.",
    "coffer_point_size_bytes": "Bytes that a restore of the newest point gives back.",
    "coffer_log_timestamp_seconds": "When the newest write-ahead log came into the vault.",
    "coffer_log_since_point_bytes": "Log that a recovery would replay.",
    "coffer_recovery_point_seconds": "Age of what a recovery would bring back, when this was written.",
    "coffer_recovery_point_promise_seconds": "What is promised of that age.",
    "coffer_recovery_time_forecast_seconds": "What a recovery would take.",
    "coffer_recovery_time_promise_seconds": "What is promised of that time.",
    "coffer_drill_timestamp_seconds": "When a drill last passed.",
    "coffer_promise_state": "0 kept, 1 in danger, 2 broken.",
    "coffer_written_timestamp_seconds": "When this was written.",
}


def exposition(environment: str, service: str, outlook: Outlook) -> str:
    """Return the file's text; what is not known has no line."""
    labels = f'environment="{_escaped(environment)}",service="{_escaped(service)}"'
    lines: list[str] = []
    for name, value in _values(outlook):
        lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} gauge", f"{name}{{{labels}}} {value:.3f}"]
    name = "coffer_promise_state"
    lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} gauge"]
    for promise in outlook.promises:
        lines.append(f'{name}{{{labels},promise="{_escaped(promise.name)}"}} {_STATES[promise.state]}')
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> None:
    """Put the file in place by rename: a collector never reads half of it.

    Raises:
        UsageError: Its folder cannot be made or written.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        raise UsageError("the metrics file cannot be written", detail=f"{path}: {error.strerror or error}") from error


def _values(outlook: Outlook) -> Iterator[tuple[str, float]]:
    known, loss, time = outlook.known, outlook.get("recovery point"), outlook.get("recovery time")
    for name, moment in (
        ("coffer_point_timestamp_seconds", known.point_started),
        ("coffer_log_timestamp_seconds", known.wal_written),
        ("coffer_drill_timestamp_seconds", known.drilled),
        ("coffer_written_timestamp_seconds", known.now),
    ):
        if isinstance(moment, datetime):
            yield name, moment.timestamp()
    if known.point:
        yield "coffer_point_size_bytes", known.point_size
        yield "coffer_log_since_point_bytes", known.wal_since
    for name, promise in (
        ("coffer_recovery_point_seconds", loss),
        ("coffer_recovery_time_forecast_seconds", time),
    ):
        if promise is not None:
            if promise.seconds is not None:
                yield name, promise.seconds
            yield name.replace("forecast_", "").replace("_seconds", "_promise_seconds"), promise.limit


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
