"""Migrations that an image brings: read from its layers without running it, applied by dbmate.

dbmate (https://github.com/amacneil/dbmate) knows the files (`-- migrate:up`, `-- migrate:down`,
`transaction:false`) and keeps the table `schema_migrations`. Here is what a release adds: the file must be the approved
one, it may not wait long for a lock, and what it makes belongs to the database's owner.
"""

from __future__ import annotations

import hashlib
import io
import re
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlencode

import docker
import docker.errors
import psycopg
from psycopg.conninfo import conninfo_to_dict

from coffer import processes
from coffer.errors import IntegrityError, NotThere, OutsideSystemError, StepFailed, Unreachable
from coffer.release.images import ImageReference
from coffer.release.steps import Migration

_NAME = re.compile(r"(?P<version>\d+)_.*\.sql")
_LOCK_TIMEOUT = "lock timeout"  # how PostgreSQL's message for 55P03 ends
_ATTEMPTS = 5
_PAUSE = 1.0  # seconds between two attempts to get a lock
_SECONDS = 600.0


def read(client: docker.DockerClient, image: ImageReference, folder: str) -> Mapping[str, str]:
    """Return the SQL files in a folder of an image, by name, in order.

    Raises:
        NotThere: The engine does not have the image, or the image not the folder.
    """
    try:
        container = client.containers.create(str(image), command=["none"], network_mode="none")
    except docker.errors.ImageNotFound as error:
        raise NotThere(f"the engine does not have {image}", resolution="Fetch it first") from error
    try:
        stream, _ = container.get_archive(folder)
        content = b"".join(stream)
    except docker.errors.NotFound as error:
        raise NotThere(f"the image has no folder {folder}", detail=str(image)) from error
    finally:
        container.remove(force=True)
    return _files(content)


def describe(files: Mapping[str, str]) -> tuple[Migration, ...]:
    """Return files as a plan names them."""
    return tuple(
        Migration(version=_version(name), name=name, sha256=hashlib.sha256(text.encode()).hexdigest())
        for name, text in files.items()
    )


def applied(conninfo: str) -> tuple[str, ...]:
    """Return the versions that a database has.

    Raises:
        Unreachable: The database does not answer.
    """
    with _connect(conninfo) as connection:
        known = connection.execute("SELECT to_regclass('public.schema_migrations') IS NOT NULL").fetchone()
        if not known or not known[0]:
            return ()
        rows = connection.execute("SELECT version FROM public.schema_migrations ORDER BY version").fetchall()
        return tuple(str(row[0]) for row in rows)


def apply(conninfo: str, files: Mapping[str, str], wanted: Sequence[Migration]) -> tuple[str, ...]:
    """Apply what is wanted and not there yet; return the names of what was applied.

    Raises:
        IntegrityError: A file is not the one that the plan names.
        StepFailed: PostgreSQL refuses one; those before it stay, that one left nothing.
        Unreachable: The database does not answer.
    """
    for migration in wanted:
        text = files.get(migration.name, "")
        if hashlib.sha256(text.encode()).hexdigest() != migration.sha256:
            raise IntegrityError(f"{migration.name} in the image is not the file that was approved")
    there = applied(conninfo)
    pending = [one for one in wanted if one.version not in there]
    url = _url(conninfo) if pending else ""
    for one in pending:
        _apply_one(url, one.name, files[one.name])
    return tuple(one.name for one in pending)


def _apply_one(url: str, name: str, text: str) -> None:
    """Apply one file; while it does not get a lock it lets go and tries again.

    Letting go is what keeps the service's own queries from queueing behind it.
    """
    with tempfile.TemporaryDirectory(prefix="coffer-migrations-") as folder:
        (Path(folder) / name).write_text(text)
        for attempt in range(_ATTEMPTS):
            try:
                _dbmate(url, folder)
            except OutsideSystemError as error:
                if _LOCK_TIMEOUT not in error.detail:
                    raise StepFailed(f"PostgreSQL refuses {name}", detail=error.detail) from error
                if attempt == _ATTEMPTS - 1:
                    raise StepFailed(f"{name} did not get its lock", detail=error.detail) from error
                time.sleep(_PAUSE)
            else:
                return


def _dbmate(url: str, folder: str) -> None:
    beside = Path(sys.executable).with_name("dbmate")
    program = beside if beside.is_file() else "dbmate"
    argv = [program, "--no-dump-schema", "--migration-lock", "--migrations-dir", folder, "migrate"]
    # The address carries a password: by variable, never on a command line that others can list.
    processes.run(argv, timeout=_SECONDS, environment={"DATABASE_URL": url}, secrets=[url], directory=Path(folder))


def _url(conninfo: str) -> str:
    """Return a connection as dbmate reads it, with what every migration runs under.

    What lib/pq does not know it hands to the server as a setting of the session.
    """
    fields = {name: str(value) for name, value in conninfo_to_dict(conninfo).items() if value is not None}
    account = quote(fields.pop("user", ""), safe="")
    if password := fields.pop("password", ""):
        account += ":" + quote(password, safe="")
    database = quote(fields.pop("dbname", ""), safe="")
    fields.setdefault("sslmode", "prefer" if "/" not in fields.get("host", "/") else "disable")
    # A migration waits 3 s at most for a lock: behind one that waits, every query of the service waits too. New tables
    # must belong to whom the service's own belong to, whoever runs the migration.
    session = {"lock_timeout": "3s", "role": _owner(conninfo), "application_name": "coffer"}
    return f"postgres://{account}@/{database}?{urlencode({**fields, **session})}"


def _owner(conninfo: str) -> str:
    with _connect(conninfo) as connection:
        rows = connection.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        ).fetchall()
    return str(rows[0][0])


def _connect(conninfo: str) -> psycopg.Connection[tuple[object, ...]]:
    try:
        return psycopg.connect(conninfo, autocommit=True, connect_timeout=10, application_name="coffer")
    except psycopg.OperationalError as error:
        raise Unreachable("the database does not answer", detail=str(error).strip()) from error


def _files(archive: bytes) -> Mapping[str, str]:
    files = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar.getmembers():
            name = PurePosixPath(member.name).name
            if member.isfile() and _NAME.fullmatch(name) and (content := tar.extractfile(member)):
                files[name] = content.read().decode()
    return dict(sorted(files.items()))


def _version(name: str) -> str:
    match = _NAME.fullmatch(name)
    if match is None:
        raise StepFailed(f"{name} does not begin with its version")
    return match["version"]
