"""A store in a folder: every object a file that appears whole and durable, or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from coffer.errors import CofferError, IntegrityError, NotAllowed, NotThere, RefusedByPolicy, StoreFull, Unreachable
from coffer.vault.stores.protocol import Buffer, ObjectInfo

_TEMPORARY = ".new-"


class FolderMissing(Unreachable):
    """The store's folder does not exist: never made, or not mounted."""


class FileStore:
    """Objects as files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def url(self) -> str:
        """Address for people."""
        return f"file://{self.root}"

    def put(self, name: str, data: Buffer) -> None:
        """Write under a temporary name in the same folder, make it durable, then give it its name.

        link() fails where the name exists, which rename() would not: nothing is ever overwritten.
        """
        path = self._path(name)
        with self._speaking(name):
            self._make_folders(path.parent)
            temporary = path.with_name(_TEMPORARY + secrets.token_hex(8))
            try:
                _write_durably(temporary, data)
                os.link(temporary, path)
            except FileExistsError:
                self._check_same(path, name, data)
            finally:
                with suppress(FileNotFoundError):
                    temporary.unlink()
            _sync_folder(path.parent)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Read a file or a part of it."""
        with self._speaking(name), self._path(name).open("rb") as stream:
            if offset:
                stream.seek(offset)
            return stream.read() if length is None else stream.read(length)

    def head(self, name: str) -> ObjectInfo:
        """Look at a file."""
        with self._speaking(name):
            status = self._path(name).stat()
            return ObjectInfo(name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Walk the files below the prefix's folder."""
        folder, _, _ = prefix.rpartition("/")
        for name in self._walk(folder):
            if name.startswith(prefix):
                with suppress(NotThere):
                    yield self.head(name)

    def delete(self, name: str) -> None:
        """Unlink a file."""
        with suppress(NotThere), self._speaking(name):
            self._path(name).unlink()
            _sync_folder(self._path(name).parent)

    def sweep(self, before: datetime) -> None:
        """Remove what writers that were killed left half written, if older than a moment."""
        with self._speaking("what was left half written"):
            for path in self.root.rglob(f"{_TEMPORARY}*"):
                if path.stat().st_mtime < before.timestamp():
                    path.unlink()

    def older(self, name: str) -> Iterator[bytes]:
        """Nothing: a folder keeps no versions."""
        return iter(())

    def now(self) -> datetime:
        """Look at the time of a fresh file: on a network mount that is the server's clock."""
        with self._speaking("the clock"):
            if not self.root.is_dir():
                raise FileNotFoundError(errno.ENOENT, "the store's folder is not there")
            with tempfile.NamedTemporaryFile(dir=self.root, prefix=_TEMPORARY) as fresh:
                return datetime.fromtimestamp(os.fstat(fresh.fileno()).st_mtime, UTC)

    @property
    def keeps_locks(self) -> bool:
        """A folder has none: whoever may write there may also unlink."""
        return False

    def lock(self, names: Sequence[str], until: datetime) -> None:
        """Do nothing."""

    def locked_until(self, name: str) -> datetime | None:
        """Return None for whatever is there."""
        self.head(name)
        return None

    def _walk(self, folder: str) -> Iterator[str]:
        with self._speaking(folder or "/"):
            if not self.root.is_dir():
                raise FolderMissing(
                    "The store's folder is not there", detail=str(self.root), resolution="Is it mounted?"
                )
            start = self.root / folder
            entries = sorted(start.iterdir()) if start.is_dir() else []
        for entry in entries:
            if entry.name.startswith(_TEMPORARY):
                continue
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir():
                yield from self._walk(name)
            else:
                yield name

    def _path(self, name: str) -> Path:
        if not name or name.startswith("/") or ".." in name.split("/"):
            raise RefusedByPolicy("That is no object name", detail=name)
        return self.root / name

    def create(self) -> None:
        """Make the store's folder: only for a new vault, never by writing into one.

        Raises:
            NotAllowed: It cannot be made.
        """
        with self._speaking("the folder"):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _make_folders(self, folder: Path) -> None:
        if folder.is_dir():
            return
        if folder == self.root:
            raise FileNotFoundError(errno.ENOENT, "the store's folder is not there")
        self._make_folders(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        _sync_folder(folder.parent)

    def _check_same(self, path: Path, name: str, data: Buffer) -> None:
        if path.read_bytes() != bytes(data):
            raise IntegrityError("Another object stands under that name", detail=f"{name} in {self.url}")
        with path.open("rb") as stream:  # a crash may have come between link() and the other writer's fsync
            os.fsync(stream.fileno())

    @contextmanager
    def _speaking(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._translate(error, name) from error

    def _translate(self, error: OSError, name: str) -> CofferError:
        where = f"{name} in {self.url}"
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            if not self.root.is_dir():
                return FolderMissing(
                    "The store's folder is not there", detail=str(self.root), resolution="Is it mounted?"
                )
            return NotThere("There is no such object", detail=where)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StoreFull("The store is full", detail=where, resolution="Make room there and run it again")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return NotAllowed("The store refuses access", detail=f"{where}: {error.strerror}")
        return Unreachable("The store does not answer", detail=f"{where}: {error.strerror}")


def _write_durably(path: Path, data: Buffer) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as stream:
        view = memoryview(data)
        while view.nbytes:
            view = view[stream.write(view) :]
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
