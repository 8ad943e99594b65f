"""`coffer recover`: the real disaster. Needs no Prefect, no server, no database."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coffer.commands.options import PATH, progress, say
from coffer.errors import ApprovalError, Interrupted, UsageError

if TYPE_CHECKING:
    from coffer.recovery.recover import Recovery
    from coffer.recovery.target import RestoreTarget


@click.command()
@click.option("--environment", help="Name of the environment, or path of its file; a kit brings its own.")
@click.option("--kit", "kit_file", type=PATH, help="Recovery kit: all that is needed beside the key.")
@click.option("--identity", type=PATH, help="Identity file from escrow; default: $COFFER_IDENTITY.")
@click.option("--time", "moment", help="The moment, ISO 8601 with offset; default: the end of the log.")
@click.option("--image", default="", help="Image by digest; default: the one that the vault says ran then.")
@click.option("--directory", type=PATH, help="With a kit: folder to recover into, on a host that has nothing yet.")
@click.option("--secrets", "secrets_file", type=PATH, help="With a kit: TOML or JSON, reference = its fields.")
@click.option("--aws-credentials", type=PATH, help="With a kit: AWS credentials file for the stores.")
@click.option("--anew", is_flag=True, help="Begin again although a recovery is half done.")
@click.option("--yes", is_flag=True, help="Do not ask for the service's name.")
@click.option("--report", "report_file", type=PATH, help="Write the report as an HTML page.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def recover(
    environment: str | None,
    kit_file: Path | None,
    identity: Path | None,
    moment: str | None,
    image: str,
    directory: Path | None,
    secrets_file: Path | None,
    aws_credentials: Path | None,
    anew: bool,
    yes: bool,
    report_file: Path | None,
    as_json: bool,
) -> None:
    """Bring a service back to a moment at its own place; what a crash interrupts is gone on with.

    What stands at its places is renamed, never deleted. One confirmation: type the service's name.
    """
    from coffer.environments import load
    from coffer.keys import Identity
    from coffer.recovery.access import IDENTITY_VARIABLE
    from coffer.recovery.kit_access import opened_kit
    from coffer.recovery.recover import RecoverRequest, Recovery
    from coffer.recovery.recover_plan import check_image

    if bool(environment) == bool(kit_file):
        raise UsageError("Name an environment or a kit", resolution="--environment NAME, or --kit FILE")
    named = identity or os.environ.get(IDENTITY_VARIABLE)
    if not named:
        raise UsageError("No identity was given", resolution=f"Use --identity or set {IDENTITY_VARIABLE}")
    target = _target(moment)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    who = Identity.load(Path(named))
    with opened_kit(
        kit_file, who, directory=directory, secrets_file=secrets_file, credentials=aws_credentials
    ) as opened:
        settings = opened.environment if opened is not None else load(environment or "")
        check_image(image, settings.service.image)
        request = RecoverRequest(
            settings,
            who,
            again=_again(environment, kit_file, directory, secrets_file, aws_credentials, named),
            target=target,
            image=image,
            root=opened.kit.root if opened is not None else None,
            anew=anew,
        )
        recovery = Recovery(request)
        _confirm(recovery, settings.service.name, yes)
        with progress("restoring", quiet=as_json) as bar:
            report = recovery.run(say, bar)
    if report_file is not None:
        report_file.write_text(report.page())
    if as_json:
        click.echo(json.dumps(report.as_dict(), default=str))
    else:
        click.echo("\n".join(report.lines()), err=True)


def _target(moment: str | None) -> RestoreTarget | None:
    from coffer.recovery.target import RestoreTarget

    if not moment:
        return None
    return RestoreTarget() if moment == "latest" else RestoreTarget.parse_time(moment)


def _confirm(recovery: Recovery, service: str, yes: bool) -> None:
    """Ask once, naming what will be replaced."""
    for line in recovery.lines():
        say(line)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("There is no terminal to confirm at", resolution="Add --yes")
        try:
            typed = click.prompt(f"Type {service} to go on", err=True)
        except click.Abort:
            raise Interrupted("not confirmed; nothing was touched") from None
        if typed.strip() != service:
            raise ApprovalError(f"'{typed}' is not {service}", detail="nothing was touched")
    recovery.confirm(os.environ.get("SUDO_USER") or os.environ.get("USER") or "the command line")


def _again(
    environment: str | None,
    kit_file: Path | None,
    directory: Path | None,
    secrets_file: Path | None,
    credentials: Path | None,
    identity: str | Path,
) -> str:
    """Return what to type to go on after a failure."""
    words = ["coffer", "recover"]
    given = (
        ("--environment", environment), ("--kit", kit_file), ("--directory", directory), ("--secrets", secrets_file),
        ("--aws-credentials", credentials), ("--identity", identity),
    )  # fmt: skip
    for option, value in given:
        if value:
            words += [option, str(value)]
    return shlex.join(words)
