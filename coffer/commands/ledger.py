"""`coffer ledger`: show what was done, verify that nobody changed the record, sign how far it reaches."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import click

from coffer.errors import IntegrityError, UsageError
from coffer.ledger import Checkpoint, FolderStorage, Ledger, LedgerStorage, StoreStorage, key_file, verify
from coffer.ledger.entries import Entry
from coffer.ledger.verification import Verification
from coffer.vault.stores import open_store

_PLACE = click.option(
    "--ledger", "place", metavar="DIR|URL", help="Where it is; the local stack's by default. A copy does as well."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.group()
def ledger() -> None:
    """The signed, hash-chained record of what was done."""


@ledger.command()
@_PLACE
@click.option("--subject", default="", help="Only entries whose subject contains this.")
@click.option("--last", type=click.IntRange(min=1), default=None, help="Only the newest N.")
@_JSON
def show(place: str | None, subject: str, last: int | None, as_json: bool) -> None:
    """Print the entries, newest last; `verify` tells whether to believe them."""
    entries = [entry for entry in _read(_storage(place)) if subject in entry.subject]
    if last is not None:
        entries = entries[-last:]
    if as_json:
        click.echo(json.dumps([entry.as_dict() for entry in entries]))
        return
    for entry in entries:
        detail = json.dumps(dict(entry.detail), ensure_ascii=False)
        click.echo(f"{entry.number:>6}  {entry.at:%Y-%m-%d %H:%M:%S}Z  {entry.act:<24} {entry.subject}  {detail}")


@ledger.command("verify")
@_PLACE
@click.option(
    "--key", "keys", type=click.Path(path_type=Path), multiple=True, help="Public key that may write (FILE.pub)."
)
@click.option("--checkpoint", type=click.Path(path_type=Path), default=None, help="Finds a tail cut off since.")
@_JSON
def verify_command(place: str | None, keys: tuple[Path, ...], checkpoint: Path | None, as_json: bool) -> None:
    """Find entries changed, dropped, inserted or reordered; works offline, on a copy."""
    trusted = [key_file.load_public(path) for path in keys or (key_file.public_file(_key_path()),)]
    result = verify(_storage(place), trusted, _checkpoint(checkpoint))
    if as_json:
        click.echo(json.dumps(result.as_dict()))
    elif result.whole:
        click.echo(f"whole: {result.entries} entries, head {result.head[:16]}", err=True)
    _refuse_damage(result)


@ledger.command("checkpoint")
@_PLACE
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New file; keep it elsewhere.")
def checkpoint_command(place: str | None, out: Path) -> None:
    """Sign how far the ledger reaches now."""
    book = Ledger.open(_storage(place), key_file.load_or_create(_key_path()))
    try:
        with out.open("xb") as stream:
            stream.write(book.checkpoint(datetime.now(UTC)).encode())
    except OSError as error:
        raise UsageError(f"{out} cannot be written", detail=error.strerror or "") from error


def _refuse_damage(result: Verification) -> None:
    if not result.whole:
        raise IntegrityError(
            "the ledger is not whole",
            detail="; ".join(result.problems),
            resolution="Compare it with another copy; nothing in it after the first problem is proven",
        )


def _read(storage: LedgerStorage) -> list[Entry]:
    return [Entry.decode(storage.get(name)) for name in storage.list()]


def _checkpoint(path: Path | None) -> Checkpoint | None:
    if path is None:
        return None
    try:
        return Checkpoint.decode(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read", detail=error.strerror or "") from error


def _storage(place: str | None) -> LedgerStorage:
    if place is not None and "://" in place:
        return StoreStorage(open_store(place))
    folder = Path(place) if place is not None else _state() / "ledger"
    if not folder.is_dir():
        raise UsageError(f"there is no ledger in {folder}", resolution="Name it with --ledger, or run a release first")
    return FolderStorage(folder)


def _key_path() -> Path:
    return _state() / "secrets" / "ledger.key"


def _state() -> Path:
    """Return the local stack's state folder, as the stack itself chooses it."""
    chosen = os.environ.get("COFFER_STATE")
    if chosen:
        return Path(chosen)
    return Path("/var/lib/coffer") if os.geteuid() == 0 else Path.home() / ".local" / "state" / "coffer"
