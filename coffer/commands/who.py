"""Who opens the vault: `--identity FILE`, `--passphrase-file FILE`, `--ask-passphrase` or `--kms KEY_ARN`.

A passphrase never stands in the command line, where `ps` shows it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coffer.commands.options import PATH
from coffer.errors import UsageError

if TYPE_CHECKING:
    from coffer.keys.opener import Opener
    from coffer.keys.passphrase import Passphrase

_WAYS = "--identity, --passphrase-file, --ask-passphrase or --kms"


@dataclass(frozen=True)
class Who:
    """Who opens the vault, as the command line says; at most one of them."""

    identity: Path | None = None
    passphrase_file: Path | None = None
    ask: bool = False
    kms: str | None = None

    @property
    def named(self) -> bool:
        """Whether anybody was named."""
        return bool(self.identity or self.passphrase_file or self.ask or self.kms)

    def open(self) -> Opener | Passphrase:
        """Read the file, ask for the passphrase, or take the KMS key's name.

        Raises:
            UsageError: The file is none of that kind, or there is no terminal to ask at.
        """
        from coffer.keys import Identity
        from coffer.keys.kms import KmsKey
        from coffer.keys.passphrase import Passphrase

        if self.kms is not None:
            return KmsKey(self.kms)
        if self.passphrase_file is not None:
            return Passphrase.load(self.passphrase_file)
        if self.identity is not None:
            return Identity.load(self.identity)
        return ask_passphrase()

    def as_config(self) -> dict[str, str]:
        """Return it as `coffer wal --config` takes it.

        Raises:
            UsageError: It was typed: nobody will be there to type it again.
        """
        if self.identity is not None:
            return {"identity_file": str(self.identity.absolute())}
        if self.passphrase_file is not None:
            return {"passphrase_file": str(self.passphrase_file.absolute())}
        if self.kms is not None:
            return {"kms_key": self.kms}
        raise UsageError(
            "A database fetches its log by itself, and nobody types a passphrase for it",
            resolution="Use --passphrase-file",
        )


def who_options(*, required: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options, and one argument `who` for all of them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(
            *args: Any,  # noqa: ANN401 - click hands them through
            identity: Path | None,
            passphrase_file: Path | None,
            ask: bool,
            kms: str | None,
            **options: Any,  # noqa: ANN401
        ) -> Any:  # noqa: ANN401
            who = Who(identity, passphrase_file, ask, kms)
            count = sum((identity is not None, passphrase_file is not None, ask, kms is not None))
            if count > 1:
                raise UsageError("Only one of them can open the vault", resolution=f"Use {_WAYS}")
            if required and not count:
                raise UsageError("Nobody was named who opens the vault", resolution=f"Use {_WAYS}")
            return command(*args, who=who, **options)

        for option in (
            click.option("--kms", metavar="KEY_ARN", help="Key in AWS KMS; credentials come from AWS_*."),
            click.option("--ask-passphrase", "ask", is_flag=True, help="Ask for a passphrase, without echo."),
            click.option("--passphrase-file", type=PATH, help="File that holds a passphrase, 0600."),
            click.option("--identity", type=PATH, help="Identity file."),
        ):
            wrapped = option(wrapped)
        return wrapped

    return decorate


def ask_passphrase(*, twice: bool = False) -> Passphrase:
    """Ask for a passphrase at the terminal, without echo.

    Raises:
        UsageError: There is no terminal, or the two differ.
    """
    from coffer.keys.passphrase import Passphrase

    if not sys.stdin.isatty():
        raise UsageError("There is no terminal to ask for a passphrase at", resolution="Use --passphrase-file")
    text = click.prompt("Passphrase", hide_input=True, confirmation_prompt=twice, err=True)
    return Passphrase.of(text)
