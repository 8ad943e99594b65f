"""A passphrase, stretched by Argon2id (RFC 9106) until guessing costs memory and time."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from coffer.errors import UsageError

SALT_SIZE = 16
LEAST_MEMORY_KIB = 64 << 10
LEAST_PASSES = 3
_MOST_MEMORY_KIB = 4 << 20
_MOST_PASSES = 64
_SHORTEST = 15


class Argon2Parameters(msgspec.Struct, frozen=True):
    """What a guess costs. RFC 9106's second recommendation (64 MiB, 3 passes) is the least that is taken.

    Attributes:
        memory_kib: Memory in KiB.
        passes: Passes over it.
        lanes: Lanes that may run at once.
    """

    memory_kib: int = 256 << 10
    passes: int = 3
    lanes: int = 4

    def check(self) -> None:
        """Make sure that they are neither weak nor a trap that eats all memory.

        Raises:
            ValueError: They are.
        """
        if not LEAST_MEMORY_KIB <= self.memory_kib <= _MOST_MEMORY_KIB:
            raise ValueError(f"Argon2id with {self.memory_kib} KiB")
        if not LEAST_PASSES <= self.passes <= _MOST_PASSES or not 1 <= self.lanes <= 64:
            raise ValueError(f"Argon2id with {self.passes} passes and {self.lanes} lanes")


@dataclass(frozen=True)
class Passphrase:
    """What someone remembers or has written down.

    Attributes:
        text: In Unicode's composed form (NFC), so that two keyboards give the same bytes.
    """

    text: str = field(repr=False)

    @classmethod
    def of(cls, text: str) -> Passphrase:
        """Take a passphrase as it was typed.

        Raises:
            UsageError: It is empty.
        """
        if not text:
            raise UsageError("The passphrase is empty")
        return cls(unicodedata.normalize("NFC", text))

    @classmethod
    def load(cls, path: Path) -> Passphrase:
        """Read a file that holds a passphrase and nothing else; a line end behind it does not count.

        Raises:
            UsageError: It is absent, empty, or no text of one line.
        """
        from coffer.keys import key_files

        try:
            text = key_files.read_secret(path, "a passphrase file").decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not a passphrase file", detail="it is not UTF-8") from error
        if not text or "\n" in text:
            raise UsageError(f"{path} is not a passphrase file", detail="it must hold one line")
        return cls.of(text)

    def check_new(self) -> None:
        """Refuse a passphrase that a thief of the vault would guess: he can try as long as he likes.

        Raises:
            UsageError: It is too short.
        """
        if len(self.text) < _SHORTEST:
            raise UsageError(
                f"A passphrase needs at least {_SHORTEST} characters", resolution="Take six or more random words"
            )

    def stretch(self, salt: bytes, parameters: Argon2Parameters) -> bytes:
        """Return 32 bytes: Argon2id, version 1.3, no secret, no associated data.

        Raises:
            ValueError: The parameters are weak, or too much.
        """
        parameters.check()
        return Argon2id(
            salt=salt,
            length=32,
            iterations=parameters.passes,
            lanes=parameters.lanes,
            memory_cost=parameters.memory_kib,
        ).derive(self.text.encode())
