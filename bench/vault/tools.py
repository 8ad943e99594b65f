"""The tools as commands: Coffer as people run it, restic as people run it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.vault.measuring import Command
from bench.vault.works import Work
from coffer.vault.compression import DEFAULT

# What zstd level restic's modes stand for, by its documentation and that of the library it compresses with.
_RESTIC_MODES = {1: "fastest", 3: "auto"}


@dataclass(frozen=True)
class Address:
    """Where a tool keeps its objects.

    Attributes:
        coffer: As Coffer writes it.
        restic: As restic writes it.
        environment: Credentials for both.
    """

    coffer: str
    restic: str
    environment: Mapping[str, str]


class Tool(Protocol):
    """A backup tool whose files beside the store lie in one folder."""

    @property
    def name(self) -> str:
        """Its name in tables."""
        ...

    @property
    def version(self) -> str:
        """Its version and settings."""
        ...

    def create(self, state: Path, address: Address) -> Sequence[Command]:
        """Return what makes an empty store."""
        ...

    def does(self, work: Work) -> bool:
        """Tell whether it has such a command."""
        ...

    def command(self, work: Work, state: Path, address: Address, source: Path, target: Path) -> Command:
        """Return the command that does a work."""
        ...


@dataclass(frozen=True)
class Coffer:
    """`coffer` beside this Python."""

    version: str
    name: str = "coffer"

    def create(self, state: Path, address: Address) -> Sequence[Command]:
        make_key = self._run(address, "keygen", "--out", str(state / "identity"))
        recipient, writer = str(state / "identity.pub"), str(state / "writer")
        make_vault = ("vault", "init", "--store", address.coffer, "--recipient", recipient, "--writer", writer)
        return (make_key, self._run(address, *make_vault))

    def does(self, work: Work) -> bool:
        return True

    def command(self, work: Work, state: Path, address: Address, source: Path, target: Path) -> Command:
        identity = ("--identity", str(state / "identity"))
        if work.writes:
            words = ["backup", "--writer", str(state / "writer"), "--source", f"files:{source}"]
        elif work is Work.RESTORE:
            words = ["restore", "latest", *identity, "--to", str(target)]
        elif work is Work.OPEN:
            words = ["verify", *identity]
        else:
            words = ["verify"]
        return self._run(address, *words, "--store", address.coffer)

    @staticmethod
    def _run(address: Address, *words: str) -> Command:
        program = str(Path(sys.executable).with_name("coffer"))
        return Command((program, *words), {**address.environment, "PYTHONDONTWRITEBYTECODE": ""})


@dataclass(frozen=True)
class Restic:
    """restic with its own settings, but for the compression, which is set to Coffer's level.

    `check --read-data` decrypts and authenticates every byte, so it answers to both of Coffer's proofs.
    """

    program: Path
    number: str
    name: str = "restic"

    @property
    def version(self) -> str:
        return f"{self.number}, --compression {_RESTIC_MODES[DEFAULT.level]}"

    def create(self, state: Path, address: Address) -> Sequence[Command]:
        password = state / "password"
        password.touch(0o600)
        password.write_text("a password of a bench\n")
        return (self._run(state, address, "init"),)

    def does(self, work: Work) -> bool:
        return work is not Work.OPEN

    def command(self, work: Work, state: Path, address: Address, source: Path, target: Path) -> Command:
        if work.writes:
            return self._run(state, address, "backup", ".", directory=source)
        if work is Work.RESTORE:
            return self._run(state, address, "restore", "latest", "--target", str(target))
        return self._run(state, address, "check", "--read-data")

    def _run(self, state: Path, address: Address, *words: str, directory: Path | None = None) -> Command:
        environment = {
            **address.environment,
            "RESTIC_REPOSITORY": address.restic,
            "RESTIC_PASSWORD_FILE": str(state / "password"),
            "RESTIC_CACHE_DIR": str(state / "cache"),
            "RESTIC_COMPRESSION": _RESTIC_MODES[DEFAULT.level],
        }
        return Command((str(self.program), *words, "--quiet"), environment, directory)
