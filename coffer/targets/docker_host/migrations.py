"""Migrations that an image brings: read from its layers without running it, applied as dbmate would.

Files and the table `schema_migrations` are dbmate's (https://github.com/amacneil/dbmate): `-- migrate:up` begins
what is applied, `-- migrate:down` ends it, `transaction:false` runs it outside a transaction.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import docker
import docker.errors
import psycopg
from psycopg import sql

from coffer.errors import IntegrityError, NotThere, StepFailed, Unreachable
from coffer.release.images import ImageReference
from coffer.release.steps import Migration

_UP = re.compile(
    r"^--\s*migrate:up(?P<options>[^\n]*)\n(?P<body>.*?)(?=^--\s*migrate:down|\Z)", re.DOTALL | re.MULTILINE
)
_NAME = re.compile(r"(?P<version>\d+)_.*\.sql")
# Any number, as long as it is always the same: one migration at a time in this database.
_ADVISORY_LOCK = 0x0C0FFE12
_ATTEMPTS = 5
_PAUSE = 1.0  # seconds between two attempts to get a lock


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
    """
    for migration in wanted:
        text = files.get(migration.name, "")
        if hashlib.sha256(text.encode()).hexdigest() != migration.sha256:
            raise IntegrityError(f"{migration.name} in the image is not the file that was approved")
    with _connect(conninfo) as connection:
        try:
            connection.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_LOCK])
            _become_owner(connection)
            connection.execute("CREATE TABLE IF NOT EXISTS public.schema_migrations (version varchar PRIMARY KEY)")
        except psycopg.Error as error:
            raise StepFailed("PostgreSQL does not let migrations begin", detail=str(error).strip()) from error
        return tuple(one.name for one in wanted if _apply_one(connection, one, files[one.name]))


def _apply_one(connection: psycopg.Connection[tuple[object, ...]], migration: Migration, text: str) -> bool:
    found = connection.execute("SELECT 1 FROM public.schema_migrations WHERE version = %s", [migration.version])
    if found.fetchone():
        return False
    up = _UP.search(text)
    if up is None:
        raise StepFailed(f"{migration.name} has no '-- migrate:up'")
    whole = "transaction:false" not in up["options"]
    for attempt in range(_ATTEMPTS):
        try:
            with connection.transaction() if whole else contextlib.nullcontext():
                connection.execute(up["body"].encode())
                connection.execute("INSERT INTO public.schema_migrations VALUES (%s)", [migration.version])
        except psycopg.errors.LockNotAvailable as error:
            # Letting go is what keeps the service's own queries from queueing behind this one.
            if not whole or attempt == _ATTEMPTS - 1:
                raise StepFailed(f"{migration.name} did not get its lock", detail=str(error).strip()) from error
            time.sleep(_PAUSE)
        except psycopg.Error as error:
            raise StepFailed(f"PostgreSQL refuses {migration.name}", detail=str(error).strip()) from error
        else:
            break
    return True


def _become_owner(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    # New tables must belong to whom the service's own tables belong to, whoever runs the migration.
    row = connection.execute(
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    if row:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(str(row[0]))))


def _connect(conninfo: str) -> psycopg.Connection[tuple[object, ...]]:
    # A migration waits 3 s at most for a lock: behind one that waits, every query of the service waits too.
    try:
        return psycopg.connect(
            conninfo, autocommit=True, connect_timeout=10, application_name="coffer", options="-c lock_timeout=3s"
        )
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
