"""`coffer wal`: the log of a PostgreSQL cluster in and out of the vault."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coffer.commands.wal_config import DEFAULT_PATH, WalConfig
from coffer.errors import CofferError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


PAST_THE_END = 1
UNKNOWN = 126
_RETRY_SECONDS = 2.0
_config = click.option(
    "--config", "config_path", default=DEFAULT_PATH, show_default=True, type=click.Path(path_type=Path),
    help="TOML file, mode 0600: stores, aws_credentials_file, writer_file or identity_file (passphrase_file, kms_key), "
         "conninfo, slot, cluster.",
)  # fmt: skip


@click.group()
def wal() -> None:
    """Ship the log of a PostgreSQL cluster, bring it back, find its gaps."""


@wal.command()
@_config
def receive(config_path: Path) -> None:
    """Receive the log from a replication slot, until told to stop; what can be lost is seconds."""
    import signal
    import threading

    from coffer.sources.postgres.wal_keeping import keep_receiving
    from coffer.sources.postgres.wal_receiver import PIECE_SECONDS, WalReceiver
    from coffer.sources.postgres.wal_slot import slot_health

    config = WalConfig(config_path)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    keep_receiving(
        lambda: WalReceiver(
            config.need("conninfo"),
            config.open_writer(),
            slot=config.get("slot", "coffer"),
            cluster=config.get("cluster", ""),
            log=_say,
            piece_seconds=config.get("piece_seconds", PIECE_SECONDS),
        ),
        stop,
        look=lambda: slot_health(config.need("conninfo"), config.get("slot", "coffer")),
        log=_say,
    )


def _say(line: str) -> None:
    click.echo(line, err=True)


class _FetchCommand(click.Command):
    """A wrong option ends with 2 elsewhere; here PostgreSQL would take that for the end of the log."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401
    ) -> click.Context:
        """Read the arguments."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            click.echo(f"coffer wal fetch: {error.format_message()}", err=True)
            sys.exit(UNKNOWN)


@wal.command(cls=_FetchCommand)
@click.argument("name")
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--past-the-end", default=PAST_THE_END, hidden=True, help="Exit code for the proven end of the log.")
@_config
def fetch(name: str, destination: Path, past_the_end: int, config_path: Path) -> None:
    """Bring a file of the log: PostgreSQL's restore_command.

    Ends with 0 when it is there, with 1 only when the log is proven to end before it, else with 126, so that
    PostgreSQL stops instead of opening with data missing.
    """
    sys.exit(_fetch_anyhow(name, destination, past_the_end, config_path))


def _fetch_anyhow(name: str, destination: Path, past_the_end: int, config_path: Path) -> int:
    with contextlib.suppress(Exception):  # then the work is done here, and what is wrong is said here
        from coffer.commands.wal_resident import through_resident

        words = [name, str(destination.absolute()), "--past-the-end", str(past_the_end)]
        answer = through_resident("fetch", words, WalConfig(config_path))
        if answer is not None:
            if answer[1]:
                click.echo(f"coffer wal fetch {name}: {answer[1]}", err=True)
            return answer[0]
    return guarded(lambda: _fetch(name, destination, WalConfig(config_path)), name, past_the_end)


def guarded(action: Callable[[], None], name: str, past_the_end: int) -> int:
    """Run a fetch and return the exit code that PostgreSQL understands.

    Whatever goes wrong, a bug included, must not look like the end of the log.
    """
    try:
        from coffer.sources.postgres.wal_fetch import PastTheEnd

        try:
            action()
        except PastTheEnd as error:
            click.echo(f"coffer wal fetch {name}: {error}", err=True)
            return past_the_end
    except BaseException as error:  # the one place where nothing may escape
        kind = "" if isinstance(error, CofferError) else f"{type(error).__name__}: "
        click.echo(f"coffer wal fetch {name}: {kind}{error}", err=True)
        return UNKNOWN
    return 0


def _fetch(name: str, destination: Path, config: WalConfig) -> None:
    from coffer.commands.wal_resident import data_folder

    config.open_fetcher(data_folder()).fetch(name, destination)


@wal.command()
@click.argument("path", type=click.Path(path_type=Path))
@_config
def push(path: Path, config_path: Path) -> None:
    """Put one file of the log into the stores: PostgreSQL's archive_command. The same bytes again are fine."""
    from coffer.commands.wal_resident import through_resident

    config = WalConfig(config_path)
    answer = through_resident("push", [str(path.absolute())], config)
    if answer is not None:
        if answer[1]:
            click.echo(f"coffer: {answer[1]}", err=True)
        sys.exit(answer[0])
    config.open_pusher(config.open_writer(), _say).push(path)


@wal.command(hidden=True)
@click.argument("role", type=click.Choice(["push", "fetch"]))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="The data folder that it serves.")
@_config
def stay(role: str, data: Path, config_path: Path) -> None:
    """Stay and answer; `push` and `fetch` start it when PostgreSQL calls them."""
    from coffer.commands.wal_resident import stay_and_answer

    stay_and_answer(role, data, WalConfig(config_path))


@wal.command()
@_config
def setup(config_path: Path) -> None:
    """Print the lines for postgresql.conf that archive and fetch at the least cost."""
    from coffer.recovery.restore_command import coffer_wal_fetch
    from coffer.sources.postgres.wal_commands import archive_command

    config = WalConfig(config_path)
    lines = {}
    if config.get("writer_file"):
        lines["archive_command"] = archive_command(config_path, config.get("spool"))
    if config.names_reader:
        lines["restore_command"] = coffer_wal_fetch(config_path, spool=config.get("spool"))
    if not lines:
        raise UsageError(f"{config_path} names neither 'writer_file' nor who reads")
    for name, line in lines.items():
        click.echo(f"{name} = '{line.replace(chr(39), chr(39) * 2)}'")


@wal.command()
@_config
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def audit(config_path: Path, as_json: bool) -> None:
    """Find what is missing of the log on every timeline, before it is needed.

    Ends with 0 when all is there, 13 when something is missing, 16 when there is no log of that cluster.
    """
    import json

    from coffer.sources.postgres.wal import SEGMENT_SIZE
    from coffer.sources.postgres.wal_audit import audit_wal

    config = WalConfig(config_path)
    opened = config.open_reader() if config.names_reader else config.open_writer()
    found = audit_wal(opened, config.need("cluster"), segment_size=config.get("segment_size", SEGMENT_SIZE))
    if as_json:
        click.echo(json.dumps(found.as_dict()))
    else:
        newest = ", ".join(found.newest.values()) or "none"
        click.echo(f"{found.cluster}: {found.segments} segments, newest {newest}, {len(found.gaps)} gaps", err=True)
    damage = found.damage()
    if damage:
        click.echo(f"coffer: {damage}", err=True)
        sys.exit(damage.exit_code)
