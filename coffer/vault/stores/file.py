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
from typing import BinaryIO

from coffer.errors import CofferError, IntegrityError, NotAllowed, NotThere, RefusedByPolicy, StoreFull, Unreachable
from coffer.vault.stores.placing import place
from coffer.vault.stores.protocol import Buffer, ObjectInfo

_TEMPORARY = ".new-"
_PART = 4 << 20


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
        """Write under a temporary name in the same folder, make it durable, then give it its name."""
        path = self._path(name)
        with self._speaking(name):
            self._make_folders(path.parent)
            temporary = path.with_name(_TEMPORARY + secrets.token_hex(8))
            try:
                _write_durably(temporary, data)
                place(temporary, path, path.with_name(f"{_TEMPORARY}claim-{path.name}"))
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
            return _info(name, self._path(name).stat())

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Walk the files below the prefix's folder."""
        folder, _, _ = prefix.rpartition("/")
        yield from self._walk(folder, prefix)

    def delete(self, name: str) -> None:
        """Unlink a file."""
        with suppress(NotThere), self._speaking(name):
            self._path(name).unlink()
            _sync_folder(self._path(name).parent)

    def sweep(self, before: datetime) -> None:
        """Remove what writers that were killed left half written, if older than a moment."""
        for entry in self._temporaries(self.root):
            with self._speaking("what was left half written"), suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_mtime < before.timestamp():
                    Path(entry.path).unlink()

    def older(self, name: str) -> Iterator[bytes]:
        """Nothing: a folder keeps no versions."""
        return iter(())

    def hidden(self, prefix: str = "") -> Iterator[str]:
        """Nothing: what has no versions hides none."""
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

    def _walk(self, folder: str, prefix: str) -> Iterator[ObjectInfo]:
        for entry in self._entries(self.root / folder):
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if name.startswith(prefix) or prefix.startswith(f"{name}/"):
                    yield from self._walk(name, prefix)
            elif name.startswith(prefix) and not entry.name.startswith(_TEMPORARY):
                with self._speaking(name), suppress(FileNotFoundError):  # it may go while the folder is walked
                    yield _info(name, entry.stat())

    def _temporaries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        for entry in self._entries(folder):
            if entry.is_dir(follow_symlinks=False):
                yield from self._temporaries(Path(entry.path))
            elif entry.name.startswith(_TEMPORARY):
                yield entry

    def _entries(self, folder: Path) -> Sequence[os.DirEntry[str]]:
        """Return a folder's entries so that whole names come in order: `a-b` stands before `a/`."""
        try:
            with self._speaking(str(folder)), os.scandir(folder) as found:
                return sorted(found, key=lambda entry: entry.name + "/" * entry.is_dir(follow_symlinks=False))
        except NotThere:  # the store is there, this folder is not, or not any more
            return ()

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
        with path.open("rb") as stream:
            if not _holds(stream, data):
                raise IntegrityError("Another object stands under that name", detail=f"{name} in {self.url}")
            os.fsync(stream.fileno())  # a crash may have come between the other writer's naming it and this

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
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return StoreFull("The store is full", detail=where, resolution="Make room there and run it again")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return NotAllowed("The store refuses access", detail=f"{where}: {error.strerror}")
        # EIO, ESTALE (a network mount that went away and came back), ETIMEDOUT, …: nothing is known then.
        return Unreachable("The store does not answer", detail=f"{where}: {error.strerror or error}")


def _info(name: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _holds(stream: BinaryIO, data: Buffer) -> bool:
    """Compare a file with bytes, a part at a time: a whole one beside `data` would double the memory."""
    view = memoryview(data)
    for at in range(0, len(view), _PART):
        if stream.read(_PART) != view[at : at + _PART]:
            return False
    return not stream.read(1)


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
