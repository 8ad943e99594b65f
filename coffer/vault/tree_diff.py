"""What differs between two trees: both are walked once, side by side, in order of path."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from enum import StrEnum

from coffer.vault.trees import TreeEntry


class ChangeKind(StrEnum):
    """How a name differs."""

    ADDED = "added"
    REMOVED = "removed"
    CONTENT = "content"
    """Other bytes, or the same bytes stored otherwise: what is compared is where they are kept, not the bytes."""
    ATTRIBUTES = "attributes"
    """Owner, mode, time, extended attributes; the content is the same."""
    TYPE = "type"


@dataclasses.dataclass(frozen=True)
class Change:
    """One name that differs.

    Attributes:
        path: The name.
        kind: How it differs.
        old_size: Bytes before; 0 where there was none.
        new_size: Bytes after; 0 where there is none.
    """

    path: bytes
    kind: ChangeKind
    old_size: int
    new_size: int


def differences(old: Iterator[TreeEntry], new: Iterator[TreeEntry]) -> Iterator[Change]:
    """Yield what differs, in order of path.

    Args:
        old: A tree in order of path.
        new: Another one, its extents in the same numbering of chunks.
    """
    before, after = next(old, None), next(new, None)
    while before is not None or after is not None:
        if after is None or (before is not None and before.path < after.path):
            assert before is not None  # noqa: S101 - the loop's condition
            yield Change(before.path, ChangeKind.REMOVED, before.size, 0)
            before = next(old, None)
        elif before is None or after.path < before.path:
            yield Change(after.path, ChangeKind.ADDED, 0, after.size)
            after = next(new, None)
        else:
            kind = _compare(before, after)
            if kind is not None:
                yield Change(after.path, kind, before.size, after.size)
            before, after = next(old, None), next(new, None)


def _compare(old: TreeEntry, new: TreeEntry) -> ChangeKind | None:
    if old.type != new.type:
        return ChangeKind.TYPE
    if not same_content(old, new):
        return ChangeKind.CONTENT
    looks = [(each.mode, each.uid, each.gid, each.mtime_ns, each.xattrs) for each in (old, new)]
    return None if looks[0] == looks[1] else ChangeKind.ATTRIBUTES


def same_content(old: TreeEntry, new: TreeEntry) -> bool:
    """Tell whether two entries hold the same: by the hash of the whole where both have one, else by their extents."""
    if old.size != new.size or old.target != new.target:
        return False
    return old.hash == new.hash if old.hash and new.hash else old.extents == new.extents
