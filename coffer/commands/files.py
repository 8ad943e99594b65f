"""`coffer files`: ship new files while they appear."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coffer.commands.options import PATH, credentials_option
from coffer.errors import UsageError

if TYPE_CHECKING:
    from coffer.sources.watching.status import WatchStatus
    from coffer.vault.writer import VaultWriter


@click.group()
def files() -> None:
    """Ship new files within seconds, so that a restore to any moment has them."""


@files.command()
@click.argument("path", type=PATH, required=False)
@click.option(
    "--config", "config_path", type=PATH,
    help="TOML file, mode 0600: stores, aws_credentials_file, writer_file, path, service, source, scan_seconds, "
         "status_file.",
)  # fmt: skip
@click.option("--store", "urls", metavar="URL", multiple=True, help="file:///DIR, s3://…; may be repeated.")
@credentials_option
@click.option("--writer", "writer", type=PATH, help="Writer's file.")
@click.option("--service", help="Whose files. [default: default]")
@click.option("--source", help="Their source's name inside points. [default: files]")
@click.option("--scan-seconds", type=float, help="How often everything is looked at. [default: 600]")
def watch(
    path: Path | None,
    config_path: Path | None,
    urls: Sequence[str],
    credentials_file: Path | None,
    writer: Path | None,
    service: str | None,
    source: str | None,
    scan_seconds: float | None,
) -> None:
    """Watch a folder of uploads and ship every new file, until told to stop.

    A file counts as new once its writer closed it or renamed it into place. Names that begin with a dot are work in
    progress. A file that vanishes is no deletion: nothing is ever taken back.
    """
    import os
    import signal
    import threading

    from coffer.sources.watching.watcher import SCAN_SECONDS, FilesWatcher, Watched

    status_file: str | None = None
    if config_path is not None:
        from coffer.commands.wal_config import WalConfig

        config = WalConfig(config_path)
        path = path or Path(config.need("path"))
        service, source = service or config.get("service"), source or config.get("source")
        scan_seconds = scan_seconds or config.get("scan_seconds")
        status_file = config.get("status_file")
        vault = config.open_writer()
    else:
        vault = _open(urls, credentials_file, writer)
    if path is None:
        raise UsageError("Which folder?", resolution="Name it, or write 'path' into --config")
    watched = Watched(
        os.fsencode(path.absolute()), service or "default", source or "files", scan_seconds or SCAN_SECONDS
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def tell(status: WatchStatus) -> None:
        if status_file:
            status.write(Path(status_file))

    FilesWatcher(watched, vault, lambda line: click.echo(line, err=True), tell).run(stop)


def _open(urls: Sequence[str], credentials_file: Path | None, writer: Path | None) -> VaultWriter:
    from coffer.commands.options import open_stores
    from coffer.keys import WriterCredentials
    from coffer.vault.writer import VaultWriter

    if not urls or writer is None:
        raise UsageError("Which vault?", resolution="Use --store and --writer, or --config")
    return VaultWriter.open(open_stores(urls, credentials_file), WriterCredentials.load(writer))
