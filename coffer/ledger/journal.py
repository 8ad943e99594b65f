"""The ledger itself: append at the next number by conditional put; never on top of a chain that is broken."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from coffer.errors import HeldByAnother, IntegrityError, NotThere
from coffer.keys import signing
from coffer.ledger.entries import GENESIS, Entry, hash_of
from coffer.ledger.storage import LedgerStorage
from coffer.ledger.verification import Checkpoint, Verification, check_entry, name_of, verify

_ATTEMPTS = 100


class Ledger:
    """Signed, hash-chained record of what was done.

    Args:
        storage: Where the entries are.
        signing_key: Secret (32 bytes) that signs new entries.
        trusted: Public keys (hex) that may write beside it.
    """

    def __init__(self, storage: LedgerStorage, signing_key: bytes, trusted: Collection[str] = ()) -> None:
        self._storage = storage
        self._secret = signing_key
        self._trusted = frozenset((signing.public_key(signing_key).hex(), *trusted))
        self._entries: list[Entry] = []
        self._head = GENESIS

    @classmethod
    def open(cls, storage: LedgerStorage, signing_key: bytes, *, trusted: Collection[str] = ()) -> Ledger:
        """Open a ledger and check what it holds so far.

        Raises:
            IntegrityError: The chain is broken.
        """
        ledger = cls(storage, signing_key, trusted)
        ledger._catch_up()
        ledger._refuse_a_gap()
        return ledger

    def append(self, act: str, subject: str, detail: Mapping[str, Any], at: datetime, *, request: str = "") -> Entry:
        """Write the next entry; a writer who was faster moves this one on by a number.

        Args:
            act: What was done.
            subject: To what.
            detail: JSON; never a secret.
            at: When, with its zone.
            request: Id derived from the request. If this act stands there for it already, that entry is the answer.

        Raises:
            IntegrityError: The chain before it is broken.
            HeldByAnother: Other writers were faster a hundred times.
            OutsideSystemError: The storage failed.
        """
        for _ in range(_ATTEMPTS):
            self._catch_up()
            if request and (done := self._find(act, request)):
                return done
            entry = Entry(len(self._entries) + 1, self._head, at, act, subject, detail, request).signed(self._secret)
            data = entry.encode()
            if self._storage.put_new(name_of(entry.number), data):
                self._entries.append(entry)
                self._head = hash_of(data)
                return entry
        raise HeldByAnother("the ledger is written to without a pause", detail=f"{_ATTEMPTS} attempts at {act}")

    def entries(self) -> Iterator[Entry]:
        """Yield everything, oldest first."""
        self._catch_up()
        yield from self._entries

    def checkpoint(self, at: datetime) -> Checkpoint:
        """Sign how far the ledger reaches; keep it where nobody who can change the ledger can change it."""
        self._catch_up()
        return Checkpoint.sign(self._secret, len(self._entries), self._head, at)

    def verify(self, checkpoint: Checkpoint | None = None) -> Verification:
        """Read everything again and report all that is wrong."""
        return verify(self._storage, self._trusted, checkpoint)

    def _catch_up(self) -> None:
        while (data := self._fetch(len(self._entries) + 1)) is not None:
            number = len(self._entries) + 1
            entry, problems = check_entry(data, number, self._head, self._trusted)
            if entry is None or problems:
                raise IntegrityError(
                    "the ledger's chain is broken",
                    detail="; ".join(problems),
                    resolution="Run coffer ledger verify; nothing is appended to it",
                )
            self._entries.append(entry)
            self._head = hash_of(data)

    def _refuse_a_gap(self) -> None:
        beyond = [name for name in self._storage.list() if name > name_of(len(self._entries))]
        # An entry may have been written by another since the look above: only a hole is refused.
        if beyond and beyond[0] != name_of(len(self._entries) + 1):
            raise IntegrityError(
                "the ledger's chain is broken",
                detail=f"entry {len(self._entries) + 1} was dropped, {beyond[0]} is there",
                resolution="Run coffer ledger verify; nothing is appended to it",
            )

    def _fetch(self, number: int) -> bytes | None:
        try:
            return self._storage.get(name_of(number))
        except NotThere:
            return None

    def _find(self, act: str, request: str) -> Entry | None:
        return next((entry for entry in self._entries if entry.request == request and entry.act == act), None)
