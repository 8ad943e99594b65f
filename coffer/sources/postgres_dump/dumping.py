"""pg_dump and pg_dumpall, of the server's own version where there is one: what they write, older ones cannot read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coffer.errors import OutsideSystemError
from coffer.processes import run
from coffer.sources.postgres.programs import Programs, programs
from coffer.sources.postgres_dump.connection import Connection

_DEBIAN = Path("/usr/lib/postgresql")
_WHEEL = 18
TABLE_OF_CONTENTS = "toc.dat"
GLOBALS = "globals.sql"
_GLOBALS_SECONDS = 600.0
_LOCK_WAIT = "10min"
_DENIED = ("permission denied", "must be superuser")


def dump_programs(server_version: int) -> tuple[Programs, int]:
    """Return programs that can dump a server, and their major version: its own, else the next newer one.

    Args:
        server_version: As libpq tells it: 150018, 180006.

    Raises:
        OutsideSystemError: All that are installed are older than the server.
    """
    major = server_version // 10_000
    installed = {
        int(each.name): Programs(each) for each in _DEBIAN.glob("[0-9]*") if (each / "bin" / "pg_dump").is_file()
    }
    if major not in installed and major <= _WHEEL:
        try:
            installed.setdefault(_WHEEL, programs())
        except OutsideSystemError:
            if not any(each >= major for each in installed):
                raise
    fitting = [each for each in sorted(installed) if each >= major]
    if not fitting:
        raise OutsideSystemError(
            f"no pg_dump for PostgreSQL {major} is installed",
            detail=f"found {', '.join(map(str, sorted(installed))) or 'none'}",
            resolution=f"Install postgresql-client-{major}",
        )
    return installed[fitting[0]], fitting[0]


def dump_database(tools: Programs, connection: Connection, snapshot: str, folder: Path, *, timeout: float) -> None:
    """Dump a database into a folder that does not exist, uncompressed, so that the vault finds again what it has.

    Raises:
        OutsideSystemError: It failed; what pg_dump said is in the detail.
    """
    _run(
        tools,
        connection,
        ["pg_dump", "--format=directory", "--compress=0", f"--jobs={connection.jobs}", f"--snapshot={snapshot}",
         f"--lock-wait-timeout={_LOCK_WAIT}", "--no-password", f"--file={folder}", f"--dbname={connection.public}"],
        timeout,
    )  # fmt: skip


def dump_globals(tools: Programs, connection: Connection, path: Path) -> tuple[bool, str]:
    """Dump roles and tablespaces, their passwords too where this role may read them.

    Returns:
        Whether there are passwords in it, and, if nothing could be dumped at all, why.
    """
    words = ["pg_dumpall", "--globals-only", "--no-password", f"--file={path}", f"--dbname={connection.public}"]
    try:
        _run(tools, connection, words, _GLOBALS_SECONDS)
        return True, ""
    except OutsideSystemError as error:
        if not any(each in str(error) for each in _DENIED):
            raise
    try:
        _run(tools, connection, [*words, "--no-role-passwords"], _GLOBALS_SECONDS)
        return False, ""
    except OutsideSystemError as error:
        if not any(each in str(error) for each in _DENIED):
            raise
        path.unlink(missing_ok=True)
        return False, error.detail


def count_objects(tools: Programs, folder: Path) -> int:
    """Return how many objects a dump's table of contents names, as pg_restore reads it.

    Raises:
        OutsideSystemError: pg_restore cannot read it.
    """
    argv: list[str | Path] = [tools.path("pg_restore"), "--list", folder]
    listed = run(argv, timeout=_GLOBALS_SECONDS, environment=tools.environment())
    return sum(1 for line in listed.stdout.splitlines() if line and not line.startswith(";"))


def _run(tools: Programs, connection: Connection, words: Sequence[str], timeout: float) -> None:
    run(
        [tools.path(words[0]), *words[1:]],
        timeout=timeout,
        environment={**tools.environment(), **connection.environment},
        secrets=connection.secrets,
    )
