"""What the demo proves, line by line, and the table at its end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass
class Story:
    """Collects what was proven and tells it.

    Attributes:
        rows: What, and the measured proof.
        places: Where to look: what, and the address.
    """

    rows: list[tuple[str, str]] = field(default_factory=list)
    places: list[tuple[str, str]] = field(default_factory=list)
    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    began: float = field(default_factory=time.monotonic)

    def say(self, line: str) -> None:
        """Print a line with the time since the beginning."""
        passed = time.monotonic() - self.began
        self.console.print(f"[dim]{passed:6.1f} s[/dim]  {line}")

    @contextmanager
    def chapter(self, title: str) -> Iterator[None]:
        """Announce a part of the demo and say how long it took."""
        self.say(f"[bold]{title}[/bold]")
        began = time.monotonic()
        yield
        self.say(f"[green]done[/green] in {time.monotonic() - began:.1f} s")

    def prove(self, what: str, proof: str) -> None:
        """Keep a line for the table."""
        self.rows.append((what, proof))

    def look(self, what: str, address: str) -> None:
        """Keep a place to look at."""
        self.places.append((what, address))

    def tell(self, file: Path) -> None:
        """Print the table on standard output and keep it as JSON."""
        table = Table(title=f"Coffer, shown in {time.monotonic() - self.began:.0f} s", title_justify="left")
        table.add_column("shown")
        table.add_column("measured", overflow="fold")
        for what, proof in self.rows:
            table.add_row(what, proof)
        table.add_section()
        for what, address in self.places:
            table.add_row(f"look at: {what}", address)
        Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else 118).print(table)
        file.write_text(json.dumps({"shown": dict(self.rows), "look": dict(self.places)}, indent=2) + "\n")
