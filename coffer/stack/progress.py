"""Says what is going on: a moving line on a terminal, plain lines everywhere else."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console

from coffer.stack.steps import Outcome

_SHOWN = 4


class Progress:
    """A context manager that tells people on stderr; stdout belongs to results."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._status = self._console.status("starting") if self._console.is_terminal else None

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._status:
            self._status.stop()

    def say(self, text: str) -> None:
        """Say one thing that takes long."""
        self._console.print(f"  {text} …", markup=False)

    def done(self, outcome: Outcome) -> None:
        """Say that a step is done."""
        self._console.print(f"  {outcome.name:<20} {outcome.word:<9} {outcome.seconds:5.1f} s", markup=False)

    def waiting(self, names: list[str]) -> None:
        """Show what is under way."""
        if self._status and names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            self._status.update(f"waiting for {', '.join(names[:_SHOWN])}{more}")
