"""Gives a finished file its name, unless the name is taken: at once, and never over another file."""

from __future__ import annotations

import ctypes
import errno
import os
import time
from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
# What file systems without hard links say (FAT and FUSE: EPERM), and those without renameat2's flag (old NFS: EINVAL).
_CANNOT_LINK = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EINVAL, errno.EXDEV}
_CANNOT_RENAME = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
_CLAIM_SECONDS = 60.0
_LOOK_SECONDS = 0.05


def place(temporary: Path, path: Path, claim: Path) -> None:
    """Move a finished file to its name: by link(), else renameat2(RENAME_NOREPLACE), else under a claim.

    rename() alone would replace what stands there. The temporary name may or may not remain.

    Args:
        temporary: The finished file, in the same folder.
        path: Its name.
        claim: A name that whoever places `path` without the file system's help must hold.

    Raises:
        FileExistsError: The name is taken.
        TimeoutError: A claim stands for long: its holder was killed, and prune has not swept it yet.
    """
    try:
        os.link(temporary, path)
        return
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
    try:
        rename_noreplace(temporary, path)
    except OSError as error:
        if error.errno not in _CANNOT_RENAME:
            raise
        _rename_under_claim(temporary, path, claim)


def rename_noreplace(old: Path, new: Path) -> None:
    """Rename unless the new name is taken: renameat2(2), which Python has no function for."""
    libc = ctypes.CDLL(None, use_errno=True)
    function = getattr(libc, "renameat2", None)
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if function(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), _RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(old), None, str(new))


def _rename_under_claim(temporary: Path, path: Path, claim: Path) -> None:
    """O_EXCL is what every file system has: one holder of the claim at a time looks, and renames."""
    end = time.monotonic() + _CLAIM_SECONDS
    while True:
        try:
            os.close(os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            break
        except FileExistsError:
            if time.monotonic() > end:
                raise TimeoutError(errno.ETIMEDOUT, f"another writer holds {claim.name}") from None
            time.sleep(_LOOK_SECONDS)
    try:
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        temporary.rename(path)
    finally:
        claim.unlink()
