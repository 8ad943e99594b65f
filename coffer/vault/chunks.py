"""How large chunks are, and the numbers by which a run speaks of them."""

from __future__ import annotations

from typing import Protocol

CHUNK_SIZE = 1 << 20
"""What a chunk holds where a source is cut at fixed places; about what it holds where the content decides."""
SMALLEST_CHUNK = 512 << 10
LARGEST_CHUNK = 4 << 20
"""Of content that is cut where it says so; the last chunk of a file may be smaller."""
SMALL_FILE = 128 << 10
"""A file up to this size is bundled with others into one chunk."""


class ChunkNumbering(Protocol):
    """Knows chunks by number."""

    def number(self, chunk_id: bytes) -> int:
        """Return the number of a chunk that is known by id."""
        ...


class ChunkNumbers:
    """Chunks of a run by number: files speak of a chunk before its id is known."""

    def __init__(self) -> None:
        self._ids: list[bytes | None] = []
        self._numbers: dict[bytes, int] = {}
        self._settled = 0

    def reserve(self) -> int:
        """Return a number for a chunk whose id is being computed."""
        self._ids.append(None)
        return len(self._ids) - 1

    def settle(self, number: int, chunk_id: bytes) -> None:
        """Say which chunk a reserved number stands for."""
        self._ids[number] = chunk_id

    def number(self, chunk_id: bytes) -> int:
        """Return the number of a chunk that is known by id."""
        number = self._numbers.get(chunk_id)
        if number is None:
            number = self._numbers[chunk_id] = len(self._ids)
            self._ids.append(chunk_id)
        return number

    def are_settled(self, highest: int) -> bool:
        """Tell whether all chunks up to this number have an id."""
        while self._settled < len(self._ids) and self._ids[self._settled] is not None:
            self._settled += 1
        return highest < self._settled

    def id(self, number: int) -> bytes:
        """Return a chunk's id; all reserved numbers must be settled."""
        chunk_id = self._ids[number]
        assert chunk_id is not None, "a chunk was not finished"  # noqa: S101
        return chunk_id
