"""What a host remembers of releases: enough to go on or back without Prefect, the ledger or the network."""

from __future__ import annotations

from pathlib import Path

import msgspec

from coffer.errors import IntegrityError
from coffer.release.observed import Colour, Released
from coffer.targets.docker_host import files


class HostRecord(msgspec.Struct, kw_only=True, frozen=True):
    """One environment's record; the fields are those of `ObservedService`."""

    generation: int = 0
    claimed_by: str = ""
    intent: Colour | None = None
    journal: tuple[str, ...] = ()
    current: Released | None = None
    previous: Released | None = None


def read(directory: Path) -> HostRecord:
    """Read the record of an environment's directory; an empty one before the first release.

    Raises:
        IntegrityError: It is there and cannot be read.
    """
    path = directory / "record.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=HostRecord)
    except FileNotFoundError:
        return HostRecord()
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"{path} is not a release record", detail=str(error)) from error


def change(directory: Path, **fields: object) -> HostRecord:
    """Change fields of the record, as one rename. The caller holds the lease's guard."""
    record = msgspec.structs.replace(read(directory), **fields)
    files.replace(directory / "record.json", msgspec.json.format(msgspec.json.encode(record)).decode())
    return record


def note_done(directory: Path, key: str) -> None:
    """Add a step to the journal."""
    journal = read(directory).journal
    if key not in journal:
        change(directory, journal=(*journal, key))
