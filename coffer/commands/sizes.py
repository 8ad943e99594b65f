"""Sizes as people write them: `500MB`, `50 GiB`."""

from __future__ import annotations

import re

import click

_UNITS = {"": 1}
_UNITS |= {letter: 1000**power for power, letter in enumerate("kmgt", start=1)}
_UNITS |= {f"{letter}i": 1 << (10 * power) for power, letter in enumerate("kmgt", start=1)}
_SIZE = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)\s*(?P<unit>[kmgt]?i?)b?", re.IGNORECASE)


class Size(click.ParamType[int]):
    """A number of bytes on the command line."""

    name = "SIZE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return bytes."""
        match = _SIZE.fullmatch(str(value).strip())
        unit = match["unit"].lower() if match else ""
        if match is None or unit not in _UNITS:
            self.fail(f"{value!r} is no size; write 500MB or 50GiB", param, ctx)
        return int(float(match["number"]) * _UNITS[unit])
