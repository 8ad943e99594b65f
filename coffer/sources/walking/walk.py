"""The names below a folder in the order of their bytes, each looked at once; links are not followed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from coffer.sources.walking.contents import Content, content_of, is_small
from coffer.sources.walking.lookout import Job, Lookout

_SLICE = 128
"""Names that are looked at together."""
_MOST_CONTENT = 1 << 20
"""Bytes of small files that are read ahead together; what does not fit is left to whoever wants it."""
_AHEAD = 24
"""Slices and folders that are looked at before they are needed."""
Found = tuple[bytes, os.stat_result, Content | None]
_Look = tuple[os.stat_result, Content | None] | None


def walk(root: bytes, note: Callable[[bytes], object], after: bytes = b"", *, read: bool = False) -> Iterator[Found]:
    """Yield path, status and perhaps content of everything below a folder, ascending by path.

    A folder `a` comes before `a.txt`, and `a.txt` before `a/b`: so what a folder holds is a name of its own, `a/`.

    Args:
        root: The folder.
        note: Takes the path of what vanished meanwhile.
        after: Leave out paths up to this one.
        read: Read small files, too.

    Raises:
        OSError: The file system failed, or a folder may not be read.
    """
    walking = _Walk(root, after, read)
    try:
        yield from walking.run(note)
    finally:
        walking.lookout.close()


class _Folder:
    """A folder on the way: its names in order; one that ends with `/` stands for what that folder holds."""

    def __init__(self, path: bytes, names: list[bytes]) -> None:
        self.path = path
        self.names = names
        self.at = self.planned = 0
        self.looks: dict[int, Job[list[_Look]]] = {}
        self.folders: dict[bytes, Job[list[bytes] | None]] = {}


class _Walk:
    def __init__(self, root: bytes, after: bytes, read: bool) -> None:
        self.lookout = Lookout()
        self._root = root
        self._after = after
        self._read = read
        self._ahead = 0
        self._stack: list[_Folder] = []

    def run(self, note: Callable[[bytes], object]) -> Iterator[Found]:
        self._ahead = 1
        self._enter(b"", Job(lambda: self._list(b"")), note)
        while self._stack:
            folder = self._stack[-1]
            if folder.at == len(folder.names):
                self._stack.pop()
                continue
            name = folder.names[folder.at]
            if name.endswith(b"/"):
                folder.at += 1
                if name not in folder.folders:
                    self._listing(folder, name)
                self._enter(folder.path + name, folder.folders.pop(name), note)
            else:
                yield from self._slice(folder, note)

    def _enter(self, path: bytes, job: Job[list[bytes] | None], note: Callable[[bytes], object]) -> None:
        names = job.result()
        self._ahead -= 1
        if names is None:
            note(path)
        else:
            self._stack.append(_Folder(path, names))
        self._plan()

    def _slice(self, folder: _Folder, note: Callable[[bytes], object]) -> Iterator[Found]:
        """Yield names up to the next folder's content or the slice's end."""
        begin = folder.at - folder.at % _SLICE
        looks = (folder.looks.get(begin) or self._looking(folder, begin)).result()
        end = min(begin + _SLICE, len(folder.names))
        path, names, at = folder.path, folder.names, folder.at
        while at < end and names[at][-1:] != b"/":
            look = looks[at - begin]
            if look is None:
                note(path + names[at])
            else:
                yield path + names[at], look[0], look[1]
            at += 1
        folder.at = at
        if at == end:
            del folder.looks[begin]
            self._ahead -= 1
            self._plan()

    def _plan(self) -> None:
        """Post what comes next, nearest first."""
        for folder in reversed(self._stack):
            folder.planned = max(folder.planned, folder.at)
            while folder.planned < len(folder.names):
                if self._ahead >= _AHEAD:
                    return
                at = folder.planned
                begin, name = at - at % _SLICE, folder.names[at]
                if begin not in folder.looks:
                    self.lookout.post(self._looking(folder, begin))
                if name.endswith(b"/"):
                    self.lookout.post(self._listing(folder, name))
                folder.planned += 1

    def _looking(self, folder: _Folder, begin: int) -> Job[list[_Look]]:
        job = folder.looks[begin] = Job(lambda: self._look(folder, begin))
        self._ahead += 1
        return job

    def _listing(self, folder: _Folder, name: bytes) -> Job[list[bytes] | None]:
        path = folder.path + name
        job = folder.folders[name] = Job(lambda: self._list(path))
        self._ahead += 1
        return job

    def _look(self, folder: _Folder, begin: int) -> list[_Look]:
        read, room = self._read, _MOST_CONTENT
        place = self._root + b"/" + folder.path
        looks: list[_Look] = []
        for name in folder.names[begin : begin + _SLICE]:
            content = None
            try:
                status = os.lstat(place + name) if name[-1:] != b"/" else None
            except (FileNotFoundError, NotADirectoryError):
                status = None
            if status is not None and read and is_small(status) and status.st_size <= room:
                content = content_of(place + name, status)
                room -= status.st_size
            looks.append((status, content) if status is not None else None)
        return looks

    def _list(self, folder: bytes) -> list[bytes] | None:
        """Return what a folder holds in order; a folder in it comes twice, the second time as what it holds."""
        names: list[bytes] = []
        try:
            with os.scandir(self._root + b"/" + folder) as found:
                for each in found:
                    names.append(each.name)
                    if each.is_dir(follow_symlinks=False):
                        names.append(each.name + b"/")
        except (FileNotFoundError, NotADirectoryError):
            return None
        names.sort()
        if self._after > folder:
            return [name for name in names if _comes_after(folder + name, self._after)]
        return names


def _comes_after(path: bytes, after: bytes) -> bool:
    return path > after or (path.endswith(b"/") and after.startswith(path))
