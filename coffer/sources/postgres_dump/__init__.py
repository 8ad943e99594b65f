"""A PostgreSQL database where only SQL is allowed: pg_dump's directory format, for pg_restore."""

from coffer.sources.postgres_dump.source import PostgresDumpSource

__all__ = ["PostgresDumpSource"]
