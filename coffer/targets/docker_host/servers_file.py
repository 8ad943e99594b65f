"""The servers' addresses in HAProxy's configuration: what a restart sends to."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SERVER = re.compile(r"^(backend (?P<backend>\S+)\n(?:(?!backend ).*\n)*?\s+server s1 )(?P<address>\S+)", re.MULTILINE)


def addresses(text: str) -> Mapping[str, str]:
    """Return `ip:port` by backend."""
    return {match["backend"]: match["address"] for match in _SERVER.finditer(text)}


def with_addresses(text: str, wanted: Mapping[str, str]) -> str:
    """Return the file with other addresses; a backend that is not named keeps its own."""
    return _SERVER.sub(lambda match: match[1] + wanted.get(match["backend"], match["address"]), text)
