"""The ways in which a log may fail to come, from one segment on."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Case(enum.Enum):
    """What is wrong from the chosen segment on."""

    NOTHING = "nothing is wrong"
    WRONG_KEY = "the key is wrong"
    DAMAGED = "the objects are damaged"
    UNREACHABLE = "the store is not there"
    DENIED = "access is denied"
    HOLE = "one segment is deleted, later ones are there"


@dataclass(frozen=True)
class Outcome:
    """What PostgreSQL did.

    Attributes:
        promoted: Whether it opened for business.
        missing: Committed rows that it then lacked.
        said: The last that the tool wrote, in one line.
        code: The exit code that PostgreSQL got for the first segment that did not come; None: all came.
    """

    promoted: bool
    missing: int
    said: str
    code: int | None = None

    @property
    def safe(self) -> bool:
        """Whether nobody could take a database with rows missing for the whole one."""
        return not self.promoted or not self.missing
