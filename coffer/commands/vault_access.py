"""What all of `coffer vault` shares: which stores, who asks, and what a change did."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coffer.commands.options import credentials_option, open_stores, root_option, say, stores_option
from coffer.commands.who import Who, ask_passphrase, who_options
from coffer.errors import UsageError

if TYPE_CHECKING:
    from coffer.vault.administration import Change, VaultAdministration
    from coffer.vault.passphrases import Remembered


@dataclass(frozen=True)
class Access:
    """A vault, and who asks."""

    urls: Sequence[str]
    credentials_file: Path | None
    who: Who
    root: str | None

    def open(self, *, believe: str | None = None) -> VaultAdministration:
        """Open the vault for a change; raises as `VaultAdministration` does."""
        from coffer.vault.administration import VaultAdministration

        stores = open_stores(self.urls, self.credentials_file)
        return VaultAdministration(stores, self.who.open(), root=self.root, believe=believe)


def access_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of every change, and one argument `access` for all of them."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,  # noqa: ANN401 - click hands them through
        urls: Sequence[str],
        credentials_file: Path | None,
        who: Who,
        root: str | None,
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        return command(*args, access=Access(urls, credentials_file, who, root), **options)

    return stores_option(credentials_option(who_options()(root_option(wrapped))))


def remembered(file: Path | None, ask: bool, name: str | None = None) -> list[Remembered]:
    """Return the passphrase that shall become a recipient, if one was named.

    Raises:
        UsageError: It was named twice, is too short, or there is no terminal to ask at.
    """
    from coffer.keys.passphrase import Passphrase
    from coffer.vault.passphrases import Remembered

    if file is not None and ask:
        raise UsageError("One passphrase at a time")
    if file is None and not ask:
        return []
    phrase = Passphrase.load(file) if file is not None else ask_passphrase(twice=True)
    phrase.check_new()
    return [Remembered(phrase, name or "passphrase")]


def tell(change: Change) -> None:
    """Say what a change did, and what it could not do."""
    say(f"configuration {change.number}, {change.rewrapped} keys wrapped anew")
    if change.left:
        say(f"{change.left} old key objects could not be removed: whoever could open them still can")
    for problem in change.problems:
        say(f"left as it is: {problem}")
