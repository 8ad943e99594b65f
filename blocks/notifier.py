"""Where people are told."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SecretStr

from blocks.reference import DOCUMENTATION, CofferBlock


class Notifier(CofferBlock):
    """Channels for messages: mail, chat, webhook, by Apprise address.

    Example:
        Load a stored notifier:
        ```python
        from blocks import Notifier

        notifier = Notifier.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "Coffer Notifier"
    _block_type_slug = "coffer-notifier"
    _documentation_url = DOCUMENTATION

    urls: list[SecretStr] = Field(
        description="Apprise addresses; they carry the channel's credentials, so they are secret.", min_length=1
    )

    def as_reference(self) -> dict[str, Any]:
        """Return {urls}."""
        return {"urls": [url.get_secret_value() for url in self.urls]}
