"""The names below a folder in the order of their bytes, each looked at once; links are not followed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from coffer.errors import NotAllowed
from coffer.sources.files.showing import show

Found = tuple[bytes, os.stat_result]
_Listing = list[tuple[bytes, "os.DirEntry[bytes] | None"]]


def walk(root: bytes, note: Callable[[str], None]) -> Iterator[Found]:
    """Yield path and status of everything below a folder, ascending by path.

    A folder `a` comes before `a.txt`, and `a.txt` before `a/b`: so what a folder holds is a name of its own, `a/`.

    Args:
        root: The folder.
        note: Takes what is worth a remark: a name that vanished meanwhile.

    Raises:
        NotAllowed: A folder may not be read.
    """
    stack = [(b"", iter(_list(root, b"", note)))]
    while stack:
        folder, names = stack[-1]
        for name, found in names:
            path = folder + name
            if found is None:
                stack.append((path, iter(_list(root, path, note))))
                break
            try:
                status = found.stat(follow_symlinks=False)
            except FileNotFoundError:
                note(f"{show(path)}: vanished while it was looked at")
            else:
                yield path, status
        else:
            stack.pop()


def _list(root: bytes, folder: bytes, note: Callable[[str], None]) -> _Listing:
    """Return what a folder holds in order; a folder in it comes twice, the second time as what it holds."""
    listing: _Listing = []
    try:
        with os.scandir(root + b"/" + folder) as found:
            for each in found:
                listing.append((each.name, each))
                if each.is_dir(follow_symlinks=False):
                    listing.append((each.name + b"/", None))
    except (FileNotFoundError, NotADirectoryError):
        note(f"{show(folder)}: vanished while it was looked at")
    except PermissionError as error:
        raise NotAllowed(
            "A folder may not be read", detail=show(folder), resolution="Run as its owner or as root"
        ) from error
    listing.sort(key=lambda each: each[0])
    return listing
