"""An OCI registry."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SecretStr

from blocks.reference import DOCUMENTATION, CofferBlock, plain


class Registry(CofferBlock):
    """Where images are pushed to and pulled from.

    Example:
        Load a stored registry:
        ```python
        from blocks import Registry

        registry = Registry.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "Coffer Registry"
    _block_type_slug = "coffer-registry"
    _documentation_url = DOCUMENTATION

    address: str = Field(description="Host and port, as image names carry them.")
    username: str = Field(default="", description="User name; empty where none is asked for.")
    password: SecretStr | None = Field(default=None, description="Password or token.")

    def as_reference(self) -> dict[str, Any]:
        """Return {address, username, password}."""
        return {"address": self.address, "username": self.username, "password": plain(self.password)}
