"""Redis: a consistent RDB, pulled as a replica pulls it."""

from coffer.sources.redis.source import RedisSource

__all__ = ["RedisSource"]
