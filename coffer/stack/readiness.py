"""Waiting for a condition with a deadline, and the conditions that several services share."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import httpx

from coffer.errors import StepFailed
from coffer.stack.service import Check

_LOG_TAIL_LINES = 15


def wait_until(check: Check, *, what: str, seconds: float, log: Path | None = None, interval: float = 0.1) -> None:
    """Ask again and again until a condition holds.

    Args:
        check: Returns None when it holds, else the reason why not; may raise StepFailed to give up at once.
        what: Subject of the error.
        seconds: Deadline.
        log: File whose last lines belong into the error.
        interval: Seconds between two questions.

    Raises:
        StepFailed: The deadline has passed.
    """
    end = time.monotonic() + seconds
    while (reason := check()) is not None:
        if time.monotonic() >= end:
            detail = f"{reason}; {log} ends with: {log_tail(log)}" if log else reason
            raise StepFailed(f"{what} was not ready within {seconds:g} s", detail=detail)
        time.sleep(interval)


def log_tail(log: Path, lines: int = _LOG_TAIL_LINES) -> str:
    """Return the last lines of a log, or a word about its absence."""
    try:
        text = log.read_text(errors="replace")
    except OSError as error:
        return f"(no log: {error.strerror})"
    return "\n".join(text.strip().splitlines()[-lines:]) or "(empty)"


def http_answers(url: str, *, accept: tuple[int, ...] = (200,)) -> Check:
    """Make a check: a GET of this address answers with one of these codes."""

    def check() -> str | None:
        try:
            code = httpx.get(url, timeout=2, trust_env=False).status_code
        except httpx.HTTPError as error:
            return f"GET {url}: {error}"
        return None if code in accept else f"GET {url} answered {code}"

    return check


def port_accepts(port: int) -> Check:
    """Make a check: something accepts connections on 127.0.0.1."""

    def check() -> str | None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return None
        except OSError as error:
            return f"127.0.0.1:{port}: {error.strerror or error}"

    return check


def unix_socket_accepts(path: Path) -> Check:
    """Make a check: something accepts connections on a UNIX socket."""

    def check() -> str | None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1)
            try:
                connection.connect(str(path))
            except OSError as error:
                return f"{path}: {error.strerror or error}"
        return None

    return check
