"""Sizes as people write them: `500 MB`, `50 GiB`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

_UNITS = {"": 1}
_UNITS |= {letter: 1000**power for power, letter in enumerate("kmgt", start=1)}
_UNITS |= {f"{letter}i": 1 << (10 * power) for power, letter in enumerate("kmgt", start=1)}
_SIZE = re.compile(r"\s*(?P<number>[0-9]+(\.[0-9]+)?)\s*(?P<unit>([kmgt]i?)?)b?\s*", re.IGNORECASE)


def parse_size(value: object) -> int:
    """Read a number of bytes.

    Raises:
        ValueError: It is no number followed by a unit.
    """
    match = _SIZE.fullmatch(str(value))
    if match is None:
        raise ValueError(f"'{value}' is not a size; write 500 MB or 50 GiB")
    return int(float(match["number"]) * _UNITS[match["unit"].lower()])


Size = Annotated[int, BeforeValidator(parse_size)]
