"""Finds any entry changed, dropped, inserted or reordered, and a tail cut off since a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from coffer.errors import IntegrityError
from coffer.keys import signing
from coffer.ledger.entries import GENESIS, Entry, hash_of
from coffer.ledger.storage import LedgerStorage

_PURPOSE = b"ledger-checkpoint"
_DIGITS = 12


@dataclass(frozen=True)
class Checkpoint:
    """A signed note of how far the ledger reached; kept elsewhere, it betrays a tail that was cut off.

    Attributes:
        number: The last entry then; 0 for an empty ledger.
        hash: SHA-256 (hex) of its bytes.
        at: When, ISO 8601.
        signer: Public key (hex) of who wrote it.
        signature: Ed25519 (hex) over the rest.
    """

    number: int
    hash: str
    at: str
    signer: str = ""
    signature: str = ""

    @classmethod
    def sign(cls, secret: bytes, number: int, head: str, at: datetime) -> Checkpoint:
        """Make one."""
        plain = cls(number, head, at.isoformat(), signing.public_key(secret).hex())
        return replace(plain, signature=signing.sign(secret, _PURPOSE, plain._message()).hex())

    def is_genuine(self) -> bool:
        """Tell whether whoever `signer` names wrote exactly this."""
        try:
            public, signature = bytes.fromhex(self.signer), bytes.fromhex(self.signature)
        except ValueError:
            return False
        return signing.is_signed(public, signature, _PURPOSE, replace(self, signature="")._message())

    def encode(self) -> bytes:
        """Return it as JSON."""
        return self._message()

    @classmethod
    def decode(cls, data: bytes) -> Checkpoint:
        """Read one.

        Raises:
            IntegrityError: It is not a checkpoint.
        """
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError) as error:
            raise IntegrityError("this is not a checkpoint of a ledger", detail=str(error)) from error

    def _message(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Verification:
    """What a look over the whole ledger found.

    Attributes:
        entries: Objects looked at.
        head: Hash of the last one.
        problems: One line for each; empty means that it is whole.
    """

    entries: int
    head: str
    problems: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """True if nothing was found."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return {"whole": self.whole, "entries": self.entries, "head": self.head, "problems": list(self.problems)}


def name_of(number: int) -> str:
    """Return the object's name of an entry."""
    return f"{number:0{_DIGITS}d}.json"


def check_entry(data: bytes, number: int, previous: str, trusted: Collection[str]) -> tuple[Entry | None, list[str]]:
    """Check one entry against its place.

    Args:
        data: Its bytes.
        number: The number in its name.
        previous: Hash of the bytes before it.
        trusted: Public keys (hex) that may write.

    Returns:
        The entry if it can be read, and what is wrong with it.
    """
    try:
        entry = Entry.decode(data)
    except IntegrityError as error:
        return None, [f"entry {number} was changed ({error.detail or error.summary})"]
    problems = []
    if not entry.is_genuine():
        problems.append(f"entry {number} was changed: its signature does not fit")
    elif entry.signer not in trusted:
        problems.append(f"entry {number} was inserted by a key that may not write: {entry.signer}")
    if entry.number != number:
        problems.append(f"entry {number} was moved here from {entry.number}")
    if entry.previous != previous:
        problems.append(f"entry {number} does not follow the entry before it: that was changed, dropped or exchanged")
    return entry, problems


def verify(storage: LedgerStorage, trusted: Collection[str], checkpoint: Checkpoint | None = None) -> Verification:
    """Look over the whole ledger.

    Args:
        storage: Where it is.
        trusted: Public keys (hex) that may write.
        checkpoint: How far it is known to have reached.
    """
    problems: list[str] = []
    hashes = {0: GENESIS}
    previous, expected, names = GENESIS, 1, storage.list()
    for name in names:
        number = _number(name)
        if number is None:
            problems.append(f"'{name}' is no entry")
            continue
        if number != expected:
            problems.append(f"{_span(expected, number - 1)} dropped")
        data = storage.get(name)
        problems += check_entry(data, number, previous, trusted)[1]
        previous, expected = hash_of(data), number + 1
        hashes[number] = previous
    if checkpoint is not None:
        problems += _against(checkpoint, hashes, trusted)
    return Verification(len(names), previous, tuple(problems))


def _against(checkpoint: Checkpoint, hashes: dict[int, str], trusted: Collection[str]) -> list[str]:
    if not checkpoint.is_genuine() or checkpoint.signer not in trusted:
        return ["the checkpoint is not signed by a key that may write"]
    last = max(hashes)
    if last < checkpoint.number:
        return [
            f"the tail was cut off: {_span(last + 1, checkpoint.number)} gone since the checkpoint of {checkpoint.at}"
        ]
    if hashes.get(checkpoint.number) != checkpoint.hash:
        return [f"entry {checkpoint.number} is not the one that the checkpoint of {checkpoint.at} saw"]
    return []


def _span(first: int, last: int) -> str:
    return f"entry {first} was" if first == last else f"entries {first} to {last} were"


def _number(name: str) -> int | None:
    digits = name.removesuffix(".json")
    if len(digits) != _DIGITS or not digits.isdecimal() or name_of(int(digits)) != name:
        return None
    return int(digits)
