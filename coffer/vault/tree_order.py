"""What must hold of a tree before anything of it is written: subtree by subtree, each looked at once.

A writer's host that was taken over signs what it likes. So paths ascend and stay inside, and only folders have
something below them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from coffer.errors import IntegrityError
from coffer.vault import trees
from coffer.vault.capture import EntryType
from coffer.vault.trees import TreeEntry, type_number

_DIRECTORY = type_number(EntryType.DIRECTORY)


@dataclass(frozen=True)
class SubtreeFacts:
    """What the subtrees beside it must be compared with.

    Attributes:
        first: Its first path; empty if it has no entry.
        last: Its last path.
        leaves: Files and links whose path the last one begins with: later ones may wrongly stand below them.
        stems: Lengths of those beginnings of the first path below which something stands here.
    """

    first: bytes
    last: bytes
    leaves: tuple[bytes, ...]
    stems: frozenset[int]


def look_at(entries: Sequence[TreeEntry], name: str) -> SubtreeFacts:
    """Check one subtree for itself.

    Raises:
        IntegrityError: It names something that no tree may name.
    """
    trees.check_paths(entries, name)
    if any(after.path <= before.path for before, after in pairwise(entries)):
        raise IntegrityError("A point's paths are out of order", detail=name)
    leaves: list[bytes] = []
    for entry in entries:
        path = entry.path
        while leaves and not path.startswith(leaves[-1]):
            leaves.pop()
        if leaves and any(path[len(leaf) : len(leaf) + 1] == b"/" for leaf in leaves):
            raise IntegrityError("A point names something below what is no folder", detail=f"{path!r} in {name}")
        if entry.type != _DIRECTORY:
            leaves.append(path)
    first = entries[0].path if entries else b""
    return SubtreeFacts(first, entries[-1].path if entries else b"", tuple(leaves), _stems(first, entries))


class TreeOrder:
    """Compares the subtrees of one source with each other, in order."""

    def __init__(self) -> None:
        self._last = b""
        self._leaves: list[bytes] = []

    def follow(self, facts: SubtreeFacts, name: str) -> None:
        """Take the next subtree.

        Raises:
            IntegrityError: It does not go with those before.
        """
        if not facts.first:
            return
        if facts.first <= self._last:
            raise IntegrityError("A point's paths are out of order", detail=name)
        if any(len(leaf) in facts.stems for leaf in self._leaves if facts.first.startswith(leaf)):
            raise IntegrityError("A point names something below what is no folder", detail=name)
        self._leaves = [*(leaf for leaf in self._leaves if facts.last.startswith(leaf)), *facts.leaves]
        self._last = facts.last


def _stems(first: bytes, entries: Sequence[TreeEntry]) -> frozenset[int]:
    """Return for which lengths something here stands below that beginning of the first path."""
    stems: set[int] = set()
    for parent in {entry.path.rpartition(b"/")[0] for entry in entries}:
        at = len(parent)
        while at > 0:
            if first.startswith(parent[:at]):
                stems.add(at)
            at = parent.rfind(b"/", 0, at)
    return frozenset(stems)
