"""Where a ledger's objects are kept: anything that can refuse to write a name twice."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from coffer.errors import IntegrityError, NotThere, OutsideSystemError


class LedgerStorage(Protocol):
    """Append-only objects under names that sort as they were written."""

    def put_new(self, name: str, data: bytes) -> bool:
        """Store durably under a new name. False: something else is there. The same bytes again count as done."""
        ...

    def get(self, name: str) -> bytes:
        """Return an object.

        Raises:
            NotThere: It is proven to be absent.
        """
        ...

    def list(self) -> list[str]:
        """Return all names, ascending."""
        ...


class FolderStorage:
    """Objects as files of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put_new(self, name: str, data: bytes) -> bool:
        """Write aside, make durable, then link(): it fails where the name exists, and no reader sees half of it."""
        path, aside = self._folder / name, self._folder / f".new-{secrets.token_hex(8)}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.link(aside, path)
        except FileExistsError:
            return path.read_bytes() == data
        except OSError as error:
            raise OutsideSystemError("the ledger cannot be written", detail=f"{path}: {error.strerror}") from error
        finally:
            with suppress(FileNotFoundError):
                aside.unlink()
        _sync(self._folder)
        return True

    def get(self, name: str) -> bytes:
        """Read a file."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError as error:
            raise NotThere("the ledger has no such entry", detail=str(self._folder / name)) from error
        except OSError as error:
            raise OutsideSystemError("the ledger cannot be read", detail=f"{name}: {error.strerror}") from error

    def list(self) -> list[str]:
        """Return the names of finished files."""
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if not path.name.startswith(".new-"))


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class ObjectStore(Protocol):
    """What a ledger needs of a vault's store; the vault's own `Store` has it."""

    def put(self, name: str, data: bytes) -> None:
        """Write a new object; IntegrityError if other bytes have that name."""
        ...

    def get(self, name: str) -> bytes:
        """Return an object; NotThere if it is absent."""
        ...

    def list(self, prefix: str = "") -> Iterable[_Named]:
        """Yield what is there."""
        ...


class StoreStorage:
    """Objects of a vault's store, below a prefix; the store's conditional put is the append."""

    def __init__(self, store: ObjectStore, prefix: str = "ledger/") -> None:
        self._store = store
        self._prefix = prefix

    def put_new(self, name: str, data: bytes) -> bool:
        """Put on the condition that the name is free."""
        try:
            self._store.put(self._prefix + name, data)
        except IntegrityError:
            # A store raises this for taken names only; whether it was another writer is seen from the bytes.
            return self.get(name) == data
        return True

    def get(self, name: str) -> bytes:
        """Fetch an object."""
        return self._store.get(self._prefix + name)

    def list(self) -> list[str]:
        """Return the names below the prefix."""
        return sorted(found.name.removeprefix(self._prefix) for found in self._store.list(self._prefix))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
