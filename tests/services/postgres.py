"""A throw-away PostgreSQL 18 cluster."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from coffer.sources.postgres.server import PostgresServer
from tests.services.throwaway import free_ports


class Postgres(PostgresServer):
    """A cluster in its own folder; a `with` block makes, starts and stops it."""

    def __init__(self, directory: Path, **settings: str) -> None:
        # Its account walks down to the data: pytest's folders are for their owner only.
        for folder in (directory, *directory.parents):
            if folder.stat().st_mode & stat.S_ISVTX:  # everybody's already: /tmp
                break
            folder.chmod(folder.stat().st_mode | 0o711)
        super().__init__(
            directory / "data", port=free_ports(1)[0], socket_dir=directory / "s", settings={"fsync": "off", **settings}
        )


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One cluster for the whole session: give each test a database of its own."""
    with Postgres(tmp_path_factory.mktemp("pg")) as server:
        yield server
