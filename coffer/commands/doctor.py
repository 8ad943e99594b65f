"""`coffer doctor`: looks at everything that a recovery would need, a line each."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from coffer.commands.options import PATH, json_option, print_json
from coffer.errors import UsageError

_SIGNS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@click.command()
@click.option("--environment", "environments", multiple=True, help="Name or file; default: every environment.")
@click.option(
    "--identity", type=PATH, help="Identity file, where this host is the escrow's; default: $COFFER_IDENTITY."
)
@click.option("--time-limit", type=float, default=15.0, show_default=True, help="Seconds that one look may take.")
@json_option
def doctor(environments: tuple[str, ...], identity: Path | None, time_limit: float, as_json: bool) -> None:
    """Look at keys, stores, clock, slot, disk, schedules, points, log and drills; say what to do.

    Ends with 0 when nothing fails, 17 when something does not answer, 14 when something is not as it must be.
    """
    from coffer.environments import known, load
    from coffer.recovery.access import close_files
    from coffer.recovery.checkup import examine, exit_code, still_looking

    chosen = [load(name) for name in environments or known()]
    if not chosen:
        raise UsageError("there is no environment to look at", resolution="Name its file with --environment")
    findings = []
    for environment in chosen:
        findings += examine(environment, identity=identity, limit=time_limit)
    if as_json:
        print_json({"ok": exit_code(findings) == 0, "findings": [finding.as_dict() for finding in findings]})
    for finding in findings if not as_json else ():
        line = f"{_SIGNS[finding.state.value]}  {finding.environment}  {finding.what}: {finding.said}"
        click.echo(f"{line}. {finding.advice}" if finding.advice else line)
    if still_looking():
        # One hangs in a library whose own threads Python would wait for.
        sys.stdout.flush()
        close_files()
        os._exit(exit_code(findings))
    sys.exit(exit_code(findings))
