"""The `coffer` command: finds the noun, loads only its file, turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from coffer.errors import CofferError, Interrupted, UsageError

_NOUNS = {
    "keygen": ("keygen", "Make an identity and its public recipient."),
    "vault": ("vault", "Make a vault; say who may open it and who may write."),
    "backup": ("backup", "Take a recovery point."),
    "points": ("points", "List recovery points, newest last."),
    "verify": ("verify", "Prove that a vault's bytes are what was written."),
    "restore": ("restore", "Bring a point back into an empty folder."),
    "ls": ("ls", "Show what a point holds."),
    "diff": ("diff", "Show what differs between two points."),
    "prune": ("prune", "Remove points that no rule keeps."),
    "replicate": ("replicate", "Bring other stores up to one."),
    "wal": ("wal", "Push, fetch, receive and audit PostgreSQL's WAL."),
    "files": ("files", "Ship new files within seconds."),
    "rds": ("rds", "Bring an RDS instance back; fail over; remove snapshots."),
    "drill": ("drill", "Prove that a disaster can be survived."),
    "recover": ("recover", "Bring a service back."),
    "kit": ("kit", "Write the recovery kit."),
    "doctor": ("doctor", "Look at keys, stores, clock, schedules: a line each."),
    "release": ("release", "Release a service, approve, go back."),
    "drift": ("drift", "Compare what runs with what was released."),
    "ledger": ("ledger", "The signed record of what was done."),
    "stack": ("stack", "The local stack: up, down, status."),
    "deployments": ("deployments", "Prefect's deployments."),
}
"""Noun: the file in coffer/commands that defines a command of that name, and its help in one line."""


class _Nouns(click.Group):
    """Loads a noun's file when it is asked for: `coffer wal push` must not pay for Prefect's or boto3's import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(filter(_is_there, _NOUNS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if not _is_there(cmd_name):
            return None
        module, _ = _NOUNS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"coffer.commands.{module}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(noun, _NOUNS[noun][1]) for noun in self.list_commands(ctx)])


def _is_there(noun: str) -> bool:
    return noun in _NOUNS and importlib.util.find_spec(f"coffer.commands.{_NOUNS[noun][0]}") is not None


@click.group(cls=_Nouns, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="coffer", prog_name="coffer")
def coffer() -> None:
    """Release a service without dropping a request; bring its data back with proof."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with the code that contract.md gives."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = coffer.main(args=words, prog_name="coffer", standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except CofferError as error:
        code = _report(error, words)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = _report(Interrupted("interrupted"), words)
    except click.ClickException as error:
        code = _report(UsageError(error.format_message().rstrip("."), resolution=_hint(error)), words)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - the reader went away; nothing more can be said
        code = 1
    except Exception as error:
        if os.environ.get("COFFER_DEBUG"):
            raise
        code = _report(_unexpected(error), words)
    sys.exit(code)


def _report(error: CofferError, words: Sequence[str]) -> int:
    click.echo(f"coffer: {error}", err=True)
    if "--json" in words:
        click.echo(json.dumps({"error": error.as_dict()}))
    return error.exit_code


def _unexpected(error: Exception) -> CofferError:
    return CofferError(
        f"unexpected {type(error).__name__}",
        detail=str(error),
        resolution="This is a bug in Coffer; COFFER_DEBUG=1 shows where",
    )


def _hint(error: click.ClickException) -> str:
    context: Any = getattr(error, "ctx", None)
    return f"Try '{context.command_path} --help'" if context else ""
