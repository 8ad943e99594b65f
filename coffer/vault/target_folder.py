"""The folder that a restore writes to: every step goes by the descriptor of a folder, and no link is followed."""

from __future__ import annotations

import ctypes
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from coffer.errors import UnsafeTarget

UNFINISHED = ".coffer-unfinished-"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FOLDERS = 64  # by each thread


@dataclass(frozen=True)
class Fresh:
    """What a new file gets here without being told: asked for once, so that nothing is set that already is."""

    uid: int
    gid: int
    umask: int


class TargetFolder:
    """A folder that was empty when the restore began.

    A file in it says that the restore is not finished, until `finish`. Each thread keeps descriptors of its own.

    Args:
        place: The folder; it is made if it does not exist.
        what: What is being restored, for whoever finds it unfinished.

    Attributes:
        root: Its descriptor.
        marker: Name of the file that says that the restore is not finished.
        fresh: What a new file gets here.

    Raises:
        UnsafeTarget: It is no folder, cannot be written, or is not empty.
    """

    def __init__(self, place: Path, what: str) -> None:
        self.place = place
        self._local = threading.local()
        self.marker = UNFINISHED + secrets.token_hex(4)
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            occupied = os.listdir(self.root)  # noqa: PTH208 - by descriptor
        except OSError as error:
            raise UnsafeTarget("The target is no folder to write to", detail=f"{place}: {error.strerror}") from error
        try:
            self._accept(occupied)
            self.fresh = self._mark(what)
        except BaseException:
            os.close(self.root)
            raise

    def folder(self, path: bytes) -> int:
        """Return the descriptor of a folder below; it stays open for a while.

        Raises:
            OSError: It is missing, or a link stands where a folder should.
        """
        if not path:
            return self.root
        known = self._known()
        descriptor = known.get(path)
        if descriptor is not None:
            known.move_to_end(path)
            return descriptor
        parts = path.split(b"/")
        deepest = len(parts) - 1
        while deepest and b"/".join(parts[:deepest]) not in known:
            deepest -= 1
        descriptor = known[b"/".join(parts[:deepest])] if deepest else self.root
        for depth in range(deepest, len(parts)):
            descriptor = os.open(parts[depth], _FOLDER, dir_fd=descriptor)
            known[b"/".join(parts[: depth + 1])] = descriptor
        while len(known) > _OPEN_FOLDERS and len(known) > 1:
            os.close(known.popitem(last=False)[1])
        return descriptor

    def make_folders(self, paths: Iterable[bytes]) -> None:
        """Make folders and those above them, for the owner alone as yet."""
        made: set[bytes] = {b""}
        for path in sorted(paths):
            parts = path.split(b"/") if path else []
            for depth in range(1, len(parts) + 1):
                here = b"/".join(parts[:depth])
                if here not in made:
                    os.mkdir(parts[depth - 1], 0o700, dir_fd=self.folder(b"/".join(parts[: depth - 1])))
                    made.add(here)

    def create(self, path: bytes, mode: int) -> int:
        """Make a file that does not exist; return its descriptor."""
        parent, _, name = path.rpartition(b"/")
        return os.open(name, _FILE | os.O_CREAT | os.O_EXCL, mode, dir_fd=self.folder(parent))

    def reopen(self, path: bytes) -> int:
        """Open a file that `create` made."""
        parent, _, name = path.rpartition(b"/")
        return os.open(name, _FILE, dir_fd=self.folder(parent))

    def link(self, path: bytes, existing: bytes) -> None:
        """Give a file that was made one more name."""
        (from_parent, _, from_name), (parent, _, name) = existing.rpartition(b"/"), path.rpartition(b"/")
        source = os.dup(self.folder(from_parent))  # the next line may close it to make room
        try:
            os.link(from_name, name, src_dir_fd=source, dst_dir_fd=self.folder(parent), follow_symlinks=False)
        finally:
            os.close(source)

    def rename(self, path: bytes, name: bytes) -> None:
        """Give a file another name in the same folder."""
        parent, _, old = path.rpartition(b"/")
        descriptor = self.folder(parent)
        os.rename(old, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)

    def sync(self) -> None:
        """Make everything durable at once: one barrier is cheaper than an fsync a file."""
        if ctypes.CDLL(None, use_errno=True).syncfs(self.root):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))

    def forget_thread(self) -> None:
        """Close what this thread keeps open."""
        known = self._known()
        while known:
            os.close(known.popitem()[1])

    def finish(self) -> None:
        """Take away what says that the restore is not finished."""
        os.unlink(self.marker, dir_fd=self.root)

    def close(self) -> None:
        """Close the folder."""
        self.forget_thread()
        os.close(self.root)

    def _accept(self, occupied: list[str]) -> None:
        """Refuse what a new restore may not be written to."""
        _refuse_occupied(self.place, occupied)

    def _known(self) -> OrderedDict[bytes, int]:
        known: OrderedDict[bytes, int] | None = getattr(self._local, "known", None)
        if known is None:
            known = self._local.known = OrderedDict()
        return known

    def _mark(self, what: str) -> Fresh:
        try:
            descriptor = os.open(self.marker, _FILE | os.O_CREAT | os.O_EXCL, 0o777, dir_fd=self.root)
        except OSError as error:
            raise UnsafeTarget("The target cannot be written", detail=f"{self.place}: {error.strerror}") from error
        try:
            status = os.fstat(descriptor)
            os.fchmod(descriptor, 0o600)
            with suppress(OSError):  # a full disk is said when content meets it
                os.write(descriptor, f"Being restored: {what}\n".encode())
        finally:
            os.close(descriptor)
        return Fresh(status.st_uid, status.st_gid, 0o777 & ~status.st_mode)


def _refuse_occupied(place: Path, occupied: list[str]) -> None:
    if not occupied:
        return
    unfinished = next((each for each in occupied if each.startswith(UNFINISHED)), None)
    if unfinished is not None:
        with suppress(OSError):
            unfinished = (place / unfinished).read_text(errors="replace").strip()
        raise UnsafeTarget(
            "The target holds a restore that did not finish",
            detail=f"{place}: {unfinished}",
            resolution="Nothing in it may be trusted to be whole: remove the folder and run it again",
        )
    raise UnsafeTarget(
        "The target is not empty", detail=f"{place} holds {occupied[0]}", resolution="Restore into an empty folder"
    )
