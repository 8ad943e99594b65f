"""`python -m bench WHAT …`: what is promised about speed and memory, measured; never part of the tests."""

from __future__ import annotations

import sys

import click

from bench.fail_stop.commands import fail_stop
from bench.postgres.commands import postgres
from bench.vault.commands import vault
from coffer.errors import CofferError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def bench() -> None:
    """Measure on this machine."""


bench.add_command(vault)
bench.add_command(postgres)
bench.add_command(fail_stop)


def main() -> None:
    """Run; an error is one line."""
    try:
        bench(prog_name="python -m bench")
    except CofferError as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
