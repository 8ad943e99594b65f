"""Which files the vault has already, by path, size and time: a digest each, so that a million fit into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from coffer.vault.capture import EntryType, StoredEntry
from coffer.vault.journal import Shipment

Version = tuple[bytes, int, int]


class KnownFiles:
    """A set of versions of files."""

    def __init__(self) -> None:
        self._digests: set[bytes] = set()
        self._parts: dict[Version, int] = {}

    def __contains__(self, version: Version) -> bool:
        return _digest(version) in self._digests

    def add(self, version: Version) -> None:
        """Take note of a file."""
        self._digests.add(_digest(version))

    def take_entries(self, entries: Iterable[StoredEntry]) -> None:
        """Take note of what a point holds."""
        for entry in entries:
            if entry.type is EntryType.FILE:
                self.add((entry.path, entry.size, entry.mtime_ns))

    def take_shipment(self, shipment: Shipment) -> None:
        """Take note of what a shipment holds; a file in parts counts once all of them are there."""
        for part in shipment.files:
            done = self._parts.get(part.version, 0)
            if part.offset == done:  # parts of an earlier attempt, cut off, may come again
                done += part.length
            self._parts[part.version] = done
            if done >= part.size:
                self.add(part.version)
                del self._parts[part.version]


def _digest(version: Version) -> bytes:
    path, size, mtime = version
    return hashlib.blake2b(b"%d %d %s" % (size, mtime, path), digest_size=16).digest()
