"""Images are named by digest. A tag is a wish, resolved once, at the door."""

from __future__ import annotations

import re
from dataclasses import dataclass

from coffer.errors import UsageError

_REFERENCE = re.compile(r"(?P<repository>[a-z0-9][a-zA-Z0-9._:/-]*)@(?P<digest>sha256:[0-9a-f]{64})")


@dataclass(frozen=True, order=True)
class ImageReference:
    """One image, for ever the same bytes.

    Attributes:
        repository: Registry address and name, without tag.
        digest: `sha256:` and 64 hexadecimal digits of the manifest.
    """

    repository: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Read `repository@sha256:…`.

        Raises:
            UsageError: It is a tag, or nothing that names an image.
        """
        match = _REFERENCE.fullmatch(text.strip())
        if match is None:
            raise UsageError(
                f"'{text}' does not name an image by digest",
                detail="a tag can point to other bytes tomorrow",
                resolution="Use REPOSITORY@sha256:… (the push prints it)",
            )
        return cls(match["repository"], match["digest"])

    @property
    def short(self) -> str:
        """Twelve digits for people."""
        return self.digest.removeprefix("sha256:")[:12]

    def __str__(self) -> str:
        """Return the form that `parse` reads."""
        return f"{self.repository}@{self.digest}"
