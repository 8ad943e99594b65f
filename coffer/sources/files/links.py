"""Names that share one file: the second is no content of its own."""

from __future__ import annotations

import hashlib

from coffer.sources.files.walk_ahead import AnyStatus


class HardLinks:
    """Numbers files that have several names; stable from point to point while the first name stays."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, int], int] = {}
        self._taken: set[int] = set()

    def number(self, path: bytes, status: AnyStatus) -> tuple[int, bool]:
        """Return the number of a file, and whether another of its names came before."""
        inode = (status.st_dev, status.st_ino)
        if inode in self._numbers:
            return self._numbers[inode], True
        number = int.from_bytes(hashlib.blake2b(path, digest_size=8).digest(), "big") >> 1 or 1
        while number in self._taken:  # somebody sought two names that give one number
            number += 1
        self._numbers[inode] = number
        self._taken.add(number)
        return number, False

    def forget(self, status: AnyStatus) -> None:
        """Take back a number: the file could not be read under that name."""
        self._taken.discard(self._numbers.pop((status.st_dev, status.st_ino), 0))
