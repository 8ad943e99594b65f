"""Which way a cluster is captured, and how that is said beside libpq's own options."""

from __future__ import annotations

import re
from enum import StrEnum

from coffer.errors import UsageError

_OPTION = re.compile(r"(?P<before>^|[\s?&])capture\s*=\s*'?(?P<value>[a-z]*)'?(?P<after>&|\s+|$)")


class Capture(StrEnum):
    """How pages come here."""

    AUTO = "auto"
    """Directly where that can be done, else by the replication protocol."""
    DIRECT = "direct"
    """From the data folder itself, on the database's own host."""
    STREAM = "stream"
    """By the replication protocol, from anywhere."""

    @classmethod
    def parse(cls, text: str) -> Capture:
        """Return what a word means.

        Raises:
            UsageError: Nothing.
        """
        try:
            return cls(text)
        except ValueError:
            raise UsageError(
                "There is no such capture", detail=text, resolution="Use capture=auto, direct or stream"
            ) from None


def split_capture(conninfo: str) -> tuple[str, str]:
    """Take `capture=…` out of a connection string or URI, which libpq would refuse.

    Returns:
        What is left, and the word; empty if there was none.
    """
    match = _OPTION.search(conninfo)
    if match is None:
        return conninfo, ""
    joint = match["before"] if match["after"] else ""
    left = conninfo[: match.start()] + joint + conninfo[match.end() :]
    return left.strip(), match["value"]
