"""A long-lived program as a value: how it is started, seen to be ready, and ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Check = Callable[[], str | None]
"""Returns None when all is well, else the reason why not yet."""


@dataclass(frozen=True)
class Service:
    """What a supervisor needs to keep one program.

    Attributes:
        name: Its name for people, supervisor and log file.
        argv: Program and arguments; no secret is among them.
        ready: Says whether it does its work now, and if not, why.
        address: Where it is reached, for people.
        ports: TCP ports on 127.0.0.1 that it takes.
        environment: Variables added to those of the supervisor.
        directory: Working directory.
        user: Account, or None for the supervisor's own.
        after: Services that must be ready first.
        prepare: Writes configuration and makes folders; runs before each start, harmless when repeated.
        finish: What is made once it is ready (buckets, roles); harmless when repeated.
        clean: Removes what it leaves behind outside its folders.
        stop_signal: Signal that ends it in good order.
        stop_seconds: After this it is killed.
        start_seconds: The deadline for `ready`.
    """

    name: str
    argv: tuple[str, ...]
    ready: Check
    address: str
    ports: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    user: str | None = None
    after: tuple[str, ...] = ()
    prepare: Callable[[], None] = lambda: None
    finish: Callable[[], None] = lambda: None
    clean: Callable[[], None] = lambda: None
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    start_seconds: float = 60.0
