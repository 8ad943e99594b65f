"""The part of `coffer restore` that brings back a PostgreSQL cluster, ready to replay its log."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coffer.commands.options import Progress, say
from coffer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coffer.recovery.target import RestoreTarget
    from coffer.vault.capture import Fact
    from coffer.vault.points import Point
    from coffer.vault.reader import VaultReader
    from coffer.vault.restoring import RestoreSummary


@dataclass(frozen=True)
class VaultAccess:
    """How the restored PostgreSQL will reach the vault for its log."""

    urls: Sequence[str]
    credentials_file: Path | None
    who: Mapping[str, str]
    root: str


def parse_target(
    time: str | None, lsn: str | None, name: str | None, *, consistent: bool = False, timeline: str | None = None
) -> RestoreTarget | None:
    """Return the moment that the options name, or None.

    Raises:
        UsageError: They name more than one, or one that is none.
    """
    from coffer.recovery.target import RestoreTarget, TargetKind

    if sum(each is not None for each in (time, lsn, name)) + consistent > 1:
        raise UsageError("--time, --lsn, --name and --consistent exclude each other")
    target = None
    if time is not None:
        target = RestoreTarget.parse_time(time)
    elif lsn is not None:
        target = RestoreTarget.at_lsn(lsn)
    elif name is not None:
        target = RestoreTarget(TargetKind.NAME, name)
    elif consistent:
        target = RestoreTarget(TargetKind.POINT)
    return target if timeline is None else replace(target or RestoreTarget(), timeline=timeline)


def choose_point(reader: VaultReader, service: str | None, source: str, target: RestoreTarget) -> Point:
    """Return the newest point from which a moment can be reached; raises as `recovery.target.choose_point` does."""
    from coffer.recovery.target import choose_point as choose

    return choose(reader.points(service), source, target)


def restore_database(
    reader: VaultReader,
    access: VaultAccess,
    point: Point,
    source: str,
    destination: Path,
    target: RestoreTarget | None,
    user: str | None,
    progress: Progress | None,
    *,
    delta: bool = False,
) -> RestoreSummary:
    """Restore a cluster and write beside it what its `restore_command` needs.

    Raises:
        UnsafeTarget: The folder is not empty; with `delta`: it holds no stopped cluster of the same system.
        UsageError: The moment lies before the point's end.
        IntegrityError: Something is missing or not genuine.
    """
    from coffer.recovery.restore import restore_postgres
    from coffer.recovery.target import RestoreTarget

    config = destination.absolute().with_name(f"{destination.name}.wal.toml")
    restored = restore_postgres(
        reader,
        point,
        destination,
        target or RestoreTarget(),
        restore_command=_wal_command(config),
        source=source,
        user=user,
        progress=progress,
        delta=delta,
    )
    _write_config(config, access, restored.facts)
    if user is not None and os.geteuid() == 0:
        shutil.chown(config, user)
    say(f"start PostgreSQL on {destination}: it replays to {restored.target}, its log by {config}")
    return restored.summary


def _wal_command(config: Path) -> str:
    """Return the `restore_command`, and say so if PostgreSQL's account could not run it from where Coffer is.

    It then ends with 126, and PostgreSQL stops instead of opening with data missing;
    the files are worth having even so.
    """
    from coffer.recovery.restore_command import PAST_THE_END, coffer_wal_fetch, restore_command

    try:
        return coffer_wal_fetch(config)
    except UsageError as error:
        say(f"note: {error}")
    coffer = Path(sys.executable).with_name("coffer")
    argv = [str(coffer), "wal", "fetch", "%f", "%p", "--config", str(config), "--past-the-end", str(PAST_THE_END)]
    return restore_command(argv, PAST_THE_END)


def _write_config(path: Path, access: VaultAccess, facts: Mapping[str, Fact]) -> None:
    """JSON's strings, numbers and lists are TOML's too."""
    values: dict[str, object] = {
        "stores": list(access.urls),
        **access.who,
        "root": access.root,
        "cluster": facts.get("cluster"),
        "system_identifier": facts.get("system_identifier"),
        "segment_size": facts.get("segment_size"),
    }
    if access.credentials_file is not None:
        values["aws_credentials_file"] = str(access.credentials_file.absolute())
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in values.items() if value is not None]
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise UsageError(f"{path} cannot be written", detail=error.strerror or "") from error
    with os.fdopen(descriptor, "w") as stream:
        stream.writelines(lines)
