"""Databases and key-value stores, by connection string."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SecretStr

from blocks.reference import DOCUMENTATION, CofferBlock, plain


class Database(CofferBlock):
    """One PostgreSQL database, with a connection for each of its users.

    Example:
        Load a stored database:
        ```python
        from blocks import Database

        database = Database.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "Coffer Database"
    _block_type_slug = "coffer-database"
    _documentation_url = DOCUMENTATION

    url: SecretStr = Field(description="Connection of the service itself, as its container sees the database.")
    admin: SecretStr | None = Field(default=None, description="Connection of the role that runs migrations.")
    backup: SecretStr | None = Field(
        default=None, description="Replication connection of the role that takes recovery points."
    )

    def as_reference(self) -> dict[str, Any]:
        """Return {url, admin, backup}."""
        return {"url": plain(self.url), "admin": plain(self.admin), "backup": plain(self.backup)}


class Redis(CofferBlock):
    """One Redis.

    Example:
        Load a stored Redis:
        ```python
        from blocks import Redis

        redis = Redis.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "Coffer Redis"
    _block_type_slug = "coffer-redis"
    _documentation_url = DOCUMENTATION

    url: SecretStr = Field(description="Connection of the service, as its container sees Redis.")
    backup: SecretStr | None = Field(default=None, description="Connection of recovery points, as the host sees Redis.")

    def as_reference(self) -> dict[str, Any]:
        """Return {url, backup}."""
        return {"url": plain(self.url), "backup": plain(self.backup)}
