"""Files being restored from several chunks, whose parts come in any order: few of them open at a time."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from coffer.vault.target_attributes import Attributes
from coffer.vault.target_folder import TargetFolder
from coffer.vault.trees import TreeEntry

_MOST_IDLE = 128
CREATED = 0o600


class FileInWork:
    """One file of which parts are still to come.

    Attributes:
        path: Where it stands now.
        entry: What it is to be.
        left: Pieces still to be written.
        made: It stands there already.
        compared: What stands there may be what is to be written: it is read first.
    """

    __slots__ = ("compared", "descriptor", "entry", "left", "made", "path", "users")

    def __init__(self, path: bytes, entry: TreeEntry, left: int) -> None:
        self.path = path
        self.entry = entry
        self.left = left
        self.made = False
        self.compared = False
        self.users = 0
        self.descriptor = -1


class FilesInWork:
    """Opens files when a piece comes, closes them when none came for long, and settles them after the last."""

    def __init__(self, target: TargetFolder, attributes: Attributes) -> None:
        self._target = target
        self._attributes = attributes
        self._idle: OrderedDict[bytes, FileInWork] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def opened(self, file: FileInWork, pieces: int) -> Iterator[int]:
        """Give the descriptor of a file to write so many pieces to."""
        with self._lock:
            self._open(file)
        done = False
        try:
            yield file.descriptor
            done = True
        finally:
            with self._lock:
                file.users -= 1
                file.left -= pieces if done else 0
                finished = not file.left and not file.users
                if file.left and not file.users:
                    self._let_lie(file)
            if finished:
                self._finish(file)

    def close(self) -> None:
        """Close what is open; after a failure some files may be."""
        while self._idle:
            os.close(self._idle.popitem()[1].descriptor)

    def _open(self, file: FileInWork) -> None:
        if not file.users and self._idle.pop(file.path, None) is None:
            file.descriptor = self._target.reopen(file.path) if file.made else self._create(file)
        file.users += 1

    def _create(self, file: FileInWork) -> int:
        descriptor = self._target.create(file.path, CREATED)
        file.made = True
        os.ftruncate(descriptor, file.entry.size)  # what no piece is written to stays a hole
        return descriptor

    def _let_lie(self, file: FileInWork) -> None:
        self._idle[file.path] = file
        if len(self._idle) > _MOST_IDLE:
            os.close(self._idle.popitem(last=False)[1].descriptor)

    def _finish(self, file: FileInWork) -> None:
        try:
            self._attributes.settle(file.descriptor, file.entry, CREATED)
        finally:
            os.close(file.descriptor)
