"""`coffer kit`: writes what a recovery needs besides the key into one file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coffer.commands.options import PATH, print_json, say
from coffer.errors import UsageError

if TYPE_CHECKING:
    from coffer.recovery.kit import Kit


@click.command()
@click.option("--environment", help="Name of the environment, or path of its file.")
@click.option("--out", type=PATH, help="Where to write the kit; an older one there is replaced.")
@click.option("--check", type=PATH, help="Prove that a kit is what was written, and show what it says.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def kit(environment: str | None, out: Path | None, check: Path | None, as_json: bool) -> None:
    """Write the recovery kit: stores, vault, root key, environment, steps in plain words; no secret.

    Write it anew whenever stores, writers or the environment file change.
    """
    from coffer.recovery import kit as kits

    if check is not None:
        found = kits.load_kit(check)
        say(f"{check} is whole: {found.service} in {found.environment}, written {found.written}")
    else:
        if not environment or out is None:
            raise UsageError("Name the environment and the file", resolution="--environment NAME --out FILE")
        found = _write(environment, out)
    if as_json:
        print_json(kits.as_json(found))


def _write(environment: str, out: Path) -> Kit:
    from coffer.environments import load
    from coffer.keys import WriterCredentials
    from coffer.recovery import kit as kits
    from coffer.recovery.access import VaultAddress

    settings = load(environment)
    credentials = WriterCredentials.load(VaultAddress.of(settings).writer_file)
    made = kits.make_kit(settings, credentials)
    text = kits.render(made, credentials, kits.format_document())
    aside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        aside.write_text(text)
        aside.replace(out)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise UsageError(f"{out} cannot be written", detail=error.strerror or "") from error
    kits.load_kit(out)
    say(f"{out}: {made.service} in {made.environment}; root {made.root[:16]}…, {len(made.stores)} stores")
    say("print it and keep copies away from here; the identity is kept elsewhere")
    return made
