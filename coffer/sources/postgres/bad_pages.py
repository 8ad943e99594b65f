"""Pages that are not what PostgreSQL wrote: how a point remembers them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coffer.sources.postgres import relation_files
from coffer.vault.capture import Fact

DAMAGED = "damaged"
"""The fact that holds them."""
_MOST_NAMED = 1000


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


def facts_of(pages: Iterable[BadPage], names: Mapping[bytes, str]) -> list[Fact]:
    """Return bad pages as facts: the first thousand by name.

    Args:
        pages: The pages.
        names: What people call the relation, by file.
    """
    return [
        {
            "path": os.fsdecode(page.path),
            "page": page.page,
            "block": page.block,
            "relation": names.get(page.path, os.fsdecode(page.path)),
        }
        for page in list(pages)[:_MOST_NAMED]
    ]


def known_bad(facts: Mapping[str, Fact]) -> dict[bytes, NDArray[np.uint32]]:
    """Return which pages of which files a point knows to be bad: an incremental may have to look at them again."""
    found: dict[bytes, set[int]] = {}
    recorded = facts.get(DAMAGED)
    for each in recorded if isinstance(recorded, list) else []:
        if isinstance(each, dict) and isinstance(page := each.get("page"), int):
            found.setdefault(os.fsencode(str(each.get("path"))), set()).add(page)
    return {path: np.array(sorted(pages), np.uint32) for path, pages in found.items()}


def describe(facts: Mapping[str, Fact]) -> str:
    """Return a capture's bad pages in words; nothing if it has none."""
    recorded = facts.get(DAMAGED)
    named = [each for each in recorded if isinstance(each, dict)] if isinstance(recorded, list) else []
    words = [f"{each.get('relation')!s} block {each.get('block')!s}" for each in named[:5]]
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return ", ".join(words) + more
