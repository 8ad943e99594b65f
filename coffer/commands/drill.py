"""`coffer drill`: proves that a service comes back, without a Prefect server."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import click

from coffer.commands.options import PATH
from coffer.errors import IntegrityError, UsageError

_SABOTAGE = (
    "flipped-page",
    "missing-segment",
    "wrong-key",
    "older-replica",
    "stale-point",
    "truncated-pack",
    "dropped-table",
    "missing-file",
)


@click.command()
@click.option("--environment", help="Name of the environment, or path of its file; not with --kit.")
@click.option("--kit", type=PATH, help="Recovery kit: nothing else is then asked but the vault.")
@click.option("--secrets", "secrets_file", type=PATH, help="With --kit: what references resolve to, as TOML or JSON.")
@click.option("--aws-credentials", "credentials", type=PATH, help="With --kit: credentials file for the stores.")
@click.option("--identity", type=PATH, help="Identity file; default: $COFFER_IDENTITY.")
@click.option("--image", default="", help="Image by digest that asks; default: the one that the point names.")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws the moment.")
@click.option("--time", "moment", help="The moment, ISO 8601 with offset; or 'latest'.")
@click.option("--sabotage", type=click.Choice(_SABOTAGE), help="Damage the copy; the drill must then fail.")
@click.option("--directory", type=PATH, help="Where to make the scratch folder.")
@click.option("--report", "report_file", type=PATH, help="Write the report as an HTML page.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def drill(
    environment: str | None,
    kit: Path | None,
    secrets_file: Path | None,
    credentials: Path | None,
    identity: Path | None,
    image: str,
    seed: int,
    moment: str | None,
    sabotage: str | None,
    directory: Path | None,
    report_file: Path | None,
    as_json: bool,
) -> None:
    """Bring a service back to a moment, in isolation, and ask it whether all is well."""
    from coffer.environments import load
    from coffer.keys import Identity
    from coffer.recovery.access import IDENTITY_VARIABLE
    from coffer.recovery.drill import run_drill
    from coffer.recovery.drill_request import drill_request
    from coffer.recovery.kit_access import opened_kit
    from coffer.recovery.report_page import page
    from coffer.recovery.sabotage import Sabotage
    from coffer.recovery.target import RestoreTarget

    named = identity or os.environ.get(IDENTITY_VARIABLE)
    if not named:
        raise UsageError("no identity was given", resolution=f"Use --identity or set {IDENTITY_VARIABLE}")
    target = None
    if moment:
        target = RestoreTarget() if moment == "latest" else RestoreTarget.parse_time(moment)
    if (environment is None) == (kit is None):
        raise UsageError("Name the environment or the kit", resolution="--environment NAME, or --kit FILE")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the scratch cluster is cleaned up then too
    who = Identity.load(Path(named))
    with opened_kit(kit, who, secrets_file=secrets_file, credentials=credentials) as opened:
        request = drill_request(
            opened.environment if opened else load(str(environment)),
            identity=Path(named),
            image=image,
            target=target,
            seed=seed,
            sabotage=Sabotage(sabotage) if sabotage else None,
            directory=directory,
            root=opened.kit.root if opened else None,
        )
        report = run_drill(request, log=lambda line: click.echo(line, err=True))
    if report_file is not None:
        report_file.write_text(page(report))
    if as_json:
        click.echo(json.dumps(report.as_dict(), default=str))
    else:
        click.echo("\n".join(report.lines()), err=True)
    if not report.ok:
        damage = IntegrityError(f"the drill of {request.environment} failed", detail="; ".join(report.damage))
        click.echo(f"coffer: {damage}", err=True)
        sys.exit(report.exit_code or damage.exit_code)
