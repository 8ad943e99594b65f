"""Sizes on the command line, as people write them."""

from __future__ import annotations

import click


class Size(click.ParamType[int]):
    """A number of bytes: `500MB`, `50GiB`."""

    name = "SIZE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return bytes."""
        from coffer.environments.sizes import parse_size  # its room takes longer to import than a command to start

        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
