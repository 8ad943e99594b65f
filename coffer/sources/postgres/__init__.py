"""PostgreSQL: read through its replication protocol, its log shipped while it is written, run for tests and drills."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coffer.sources.postgres.source import PostgresSource

__all__ = ["PostgresSource"]


def __getattr__(name: str) -> object:
    """Import on use: `coffer wal fetch` passes through here and must start in milliseconds."""
    if name == "PostgresSource":
        from coffer.sources.postgres.source import PostgresSource

        return PostgresSource
    raise AttributeError(name)
