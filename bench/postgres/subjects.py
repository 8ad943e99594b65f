"""Which tools are measured on which PostgreSQL."""

from __future__ import annotations

from functools import partial

from bench.postgres.coffer_tool import Coffer
from bench.postgres.pgbackrest import PgBackRest
from bench.postgres.restic import Restic
from bench.postgres.rounds import Subject
from bench.postgres.stock import BaseBackup, Floor

OLD, NEW = 15, 18
"""The newest that Debian 12's pgBackRest knows, and the newest there is."""


def subjects(slow_rounds: int | None) -> list[Subject]:
    """Return all of them: each peer where it can work, Coffer on both.

    Args:
        slow_rounds: In how many rounds pgBackRest at its defaults takes part; None means in all.
    """
    return [
        Subject("coffer", OLD, Coffer),
        Subject("coffer", NEW, Coffer),
        Subject("pgbackrest", OLD, partial(PgBackRest, tuned=False), slow_rounds),
        Subject("pgbackrest tuned", OLD, partial(PgBackRest, tuned=True)),
        Subject("restic", OLD, Restic),
        Subject("tar, zstd, openssl", OLD, Floor),
        Subject("pg_basebackup", NEW, BaseBackup),
    ]
