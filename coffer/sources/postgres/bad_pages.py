"""Pages that are not what PostgreSQL wrote: how a point remembers them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coffer.sources.postgres import relation_files
from coffer.sources.postgres.relation_files import SEGMENT_PAGES
from coffer.vault.capture import Fact

_PAGES, _DAMAGE = "bad_pages", "damage"
_WARNING = re.compile(r'checksum verification failed in file "(?:\./)?(?P<file>[^"]+)", block (?P<block>\d+)')
_MOST_KEPT, _MOST_TOLD = 1000, 5


@dataclass(frozen=True, order=True)
class BadPage:
    """One page.

    Attributes:
        path: The file.
        page: Which page of the file.
        lsn: What its header claims; nothing in the order.
    """

    path: bytes
    page: int
    lsn: int = 0

    @property
    def block(self) -> int:
        """Which page of the fork."""
        relation = relation_files.parse(self.path)
        return self.page + (relation.first_page if relation else 0)


def facts_of(pages: Sequence[BadPage], names: Mapping[bytes, str], *, uncounted: bool = False) -> dict[str, Fact]:
    """Return bad pages as facts, the first thousand of them; no facts where there are none.

    Args:
        pages: The pages.
        names: What people call the relation, by file.
        uncounted: There are some, and nobody said which.
    """
    if not pages and not uncounted:
        return {}
    named = [f"{names.get(page.path, os.fsdecode(page.path))} block {page.block}" for page in pages[:_MOST_TOLD]]
    more = f" and {len(pages) - _MOST_TOLD} more" if len(pages) > _MOST_TOLD else ""
    kept: list[Fact] = [
        {"path": os.fsdecode(page.path), "page": page.page, "block": page.block} for page in pages[:_MOST_KEPT]
    ]
    return {_PAGES: kept, _DAMAGE: (", ".join(named) or "pages that the server did not name") + more}


def known_bad(facts: Mapping[str, Fact]) -> dict[bytes, NDArray[np.uint32]]:
    """Return which pages of which files a point knows to be bad: an incremental may have to look at them again."""
    found: dict[bytes, set[int]] = {}
    recorded = facts.get(_PAGES)
    for each in recorded if isinstance(recorded, list) else []:
        if isinstance(each, dict) and isinstance(page := each.get("page"), int):
            found.setdefault(os.fsencode(str(each.get("path"))), set()).add(page)
    return {path: np.array(sorted(pages), np.uint32) for path, pages in found.items()}


def from_warnings(lines: Iterable[str]) -> list[BadPage]:
    """Return the pages that a server's warnings name: at most five of a file."""
    found = {
        BadPage(os.fsencode(match["file"]), int(match["block"]) % SEGMENT_PAGES)
        for line in lines
        if (match := _WARNING.search(line))
    }
    return sorted(found)
