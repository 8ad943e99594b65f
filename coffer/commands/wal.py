"""`coffer wal`: the log of a PostgreSQL cluster in and out of the vault."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coffer.errors import CofferError, IntegrityError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from coffer.vault.reader import VaultReader
    from coffer.vault.writer import VaultWriter

DEFAULT_CONFIG = "/etc/coffer/wal.toml"
PAST_THE_END = 1
UNKNOWN = 126
_RETRY_SECONDS = 2.0
_KEYS: dict[str, type | tuple[type, ...]] = {
    "stores": list,
    "aws_credentials_file": str,
    "writer_file": str,
    "identity_file": str,
    "root": str,
    "conninfo": str,
    "slot": str,
    "cluster": str,
    "system_identifier": str,
    "segment_size": int,
    "piece_seconds": (int, float),
}


class WalConfig:
    """What `--config` says.

    Args:
        path: A TOML file that only its owner may read; it may hold a password.

    Raises:
        UsageError: It is absent, readable for others, no TOML, or has an unknown key or a wrong type.
    """

    def __init__(self, path: Path) -> None:
        import tomllib

        self.path = path
        try:
            mode = path.stat().st_mode
            self._values: dict[str, Any] = tomllib.loads(path.read_text())
        except OSError as error:
            raise UsageError(f"{path} cannot be read", detail=error.strerror or str(error)) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} is not TOML", detail=str(error)) from error
        if mode & 0o077:
            raise UsageError(f"{path} can be read by others", resolution=f"chmod 600 {path}")
        for key, value in self._values.items():
            if key not in _KEYS or not isinstance(value, _KEYS[key]):
                raise UsageError(f"{path}: '{key}' is unknown or of another type", detail=f"known: {', '.join(_KEYS)}")

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - checked against _KEYS
        """Return a value or the default."""
        return self._values.get(key, default)

    def need(self, key: str) -> Any:  # noqa: ANN401 - checked against _KEYS
        """Return a value.

        Raises:
            UsageError: The file does not have it.
        """
        if key not in self._values:
            raise UsageError(f"{self.path} lacks '{key}'")
        return self._values[key]

    def open_stores(self) -> list[Any]:
        """Open the stores."""
        from coffer.vault.stores import open_store

        credentials = Path(self.get("aws_credentials_file")) if self.get("aws_credentials_file") else None
        return [open_store(url, credentials_file=credentials) for url in self.need("stores")]

    def open_writer(self) -> VaultWriter:
        """Open the vault for writing."""
        from coffer.keys import WriterCredentials
        from coffer.vault.writer import VaultWriter

        return VaultWriter.open(self.open_stores(), WriterCredentials.load(Path(self.need("writer_file"))))

    def open_reader(self) -> VaultReader:
        """Open the vault for reading."""
        from coffer.keys import Identity
        from coffer.vault.reader import VaultReader

        identity = Identity.load(Path(self.need("identity_file")))
        return VaultReader.open(self.open_stores(), identity, root=self.get("root"))


_config = click.option(
    "--config", "config_path", default=DEFAULT_CONFIG, show_default=True, type=click.Path(path_type=Path),
    help="TOML file, mode 0600: stores, aws_credentials_file, writer_file or identity_file, conninfo, slot, cluster.",
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

    from coffer.sources.postgres.wal_receiver import PIECE_SECONDS, WalReceiver

    config = WalConfig(config_path)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    receiver = WalReceiver(
        config.need("conninfo"),
        config.open_writer(),
        slot=config.get("slot", "coffer"),
        cluster=config.get("cluster", ""),
        log=lambda line: click.echo(line, err=True),
        piece_seconds=config.get("piece_seconds", PIECE_SECONDS),
    )
    receiver.run(stop)


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
    sys.exit(guarded(lambda: _fetch(name, destination, WalConfig(config_path)), name, past_the_end))


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
    from coffer.sources.postgres.wal import SEGMENT_SIZE
    from coffer.sources.postgres.wal_fetch import WalFetcher

    fetcher = WalFetcher(
        config.open_reader(),
        config.need("cluster"),
        system=config.get("system_identifier"),
        segment_size=config.get("segment_size", SEGMENT_SIZE),
    )
    fetcher.fetch(name, destination)


@wal.command()
@click.argument("path", type=click.Path(path_type=Path))
@_config
def push(path: Path, config_path: Path) -> None:
    """Put one file of the log into every store: PostgreSQL's archive_command. The same bytes again are fine."""
    from coffer.sources.postgres.wal import Segment, is_archive_name, is_segment
    from coffer.sources.postgres.wal_archive import check_segment, segment_system

    config = WalConfig(config_path)
    if not is_archive_name(path.name):
        raise UsageError(f"'{path.name}' is no file of the log")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read", detail=error.strerror or str(error)) from error
    cluster, system = config.get("cluster", ""), config.get("system_identifier")
    if is_segment(path.name):
        check_segment(Segment.parse(path.name, len(data)), data, system)
        cluster = cluster or segment_system(data)
    if not cluster:
        raise UsageError(f"{config_path} lacks 'cluster', which {path.name} itself does not tell")
    config.open_writer().put_wal(cluster, path.name, data)


@wal.command()
@_config
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def audit(config_path: Path, as_json: bool) -> None:
    """Find gaps in the log on every timeline, before they are needed."""
    import json

    from coffer.sources.postgres.wal import SEGMENT_SIZE, find_gaps, is_segment

    config = WalConfig(config_path)
    cluster = config.need("cluster")
    opened = config.open_reader() if config.get("identity_file") else config.open_writer()
    names = opened.wal_names(cluster)
    gaps = find_gaps(names, config.get("segment_size", SEGMENT_SIZE))
    segments = sorted(filter(is_segment, names))
    if as_json:
        found = [{"timeline": gap.timeline, "first": gap.first, "last": gap.last} for gap in gaps]
        click.echo(json.dumps({"cluster": cluster, "segments": len(segments), "newest": segments[-1:], "gaps": found}))
    else:
        click.echo(f"{cluster}: {len(segments)} segments, {len(gaps)} gaps", err=True)
        for gap in gaps:
            click.echo(f"timeline {gap.timeline}: {gap} missing", err=True)
    if gaps:
        damage = IntegrityError(f"the log of {cluster} has {len(gaps)} gaps", detail=", ".join(map(str, gaps)))
        click.echo(f"coffer: {damage}", err=True)
        sys.exit(damage.exit_code)
