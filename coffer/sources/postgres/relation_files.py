"""Which relation, fork and segment a file of the data folder belongs to, by its name alone.

Source of the names: PostgreSQL's manual, "Database File Layout"; src/backend/storage/file/reinit.c.
"""

from __future__ import annotations

import re
from typing import NamedTuple

DEFAULT_TABLESPACE = 1663
GLOBAL_TABLESPACE = 1664
SEGMENT_PAGES = 131_072
"""Pages of a whole segment (1 GiB), unless PostgreSQL was built otherwise."""

_PATH = re.compile(
    rb"(?:base/(?P<database>\d+)|(?P<shared>global)|pg_tblspc/(?P<tablespace>\d+)/[^/]+/(?P<inside>\d+))/"
    rb"(?P<number>\d+)(?:_(?P<fork>fsm|vm|init))?(?:\.(?P<segment>\d+))?"
)


class RelationFile(NamedTuple):
    """One segment of one fork.

    Attributes:
        tablespace: OID of its tablespace.
        database: OID of its database; 0 where all databases share it.
        number: Its relfilenode.
        fork: `main`, `fsm`, `vm` or `init`.
        segment: Which GiB of the fork.
    """

    tablespace: int
    database: int
    number: int
    fork: str
    segment: int

    @property
    def first_page(self) -> int:
        """Number of the file's first page within the fork."""
        return self.segment * SEGMENT_PAGES


def parse(path: bytes) -> RelationFile | None:
    """Return what a path of the data folder says, or None if it is no relation's."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    if match["shared"]:
        tablespace, database = GLOBAL_TABLESPACE, 0
    elif match["database"]:
        tablespace, database = DEFAULT_TABLESPACE, int(match["database"])
    else:
        tablespace, database = int(match["tablespace"]), int(match["inside"])
    fork = match["fork"].decode() if match["fork"] else "main"
    return RelationFile(tablespace, database, int(match["number"]), fork, int(match["segment"] or 0))
