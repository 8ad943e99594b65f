"""Key files: JSON, written once or replaced whole, 0600 where they hold a secret."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

from coffer.errors import UsageError

T = TypeVar("T")
_log = logging.getLogger(__name__)
_LARGEST = 1 << 24


def read_secret(path: Path, what: str) -> bytes:
    """Read a file that only its owner should be able to read; say so where others can.

    A warning and no refusal: secrets mounted into containers are often readable for a group, and a restore must not
    fail for that.

    Raises:
        UsageError: It is absent, unreadable, no file, or far too large for what it should be.
    """
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
                _log.warning("%s can be read by others than its owner: chmod 600 %s", path, path)
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read", detail=f"{what}: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise UsageError(f"{path} is not {what}", detail="it is far too large")
    return data


def read(path: Path, shape: type[T], what: str, *, secret: bool = False) -> T:
    """Read a key file.

    Args:
        path: The file.
        shape: The struct it must hold; its tag is checked.
        what: What the reader expected, for the error.
        secret: Whether only the owner should be able to read it.

    Raises:
        UsageError: It is absent, unreadable or something else.
    """
    try:
        return msgspec.json.decode(read_secret(path, what) if secret else path.read_bytes(), type=shape)
    except OSError as error:
        raise UsageError(f"{path} cannot be read", detail=f"{what}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not {what}", detail=str(error)) from error


def create(path: Path, content: object, *, secret: bool) -> None:
    """Write a new key file.

    Raises:
        UsageError: Something stands there already, or it cannot be written.
    """
    data = _encode(content)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    except FileExistsError as error:
        raise UsageError(
            f"{path} exists already", resolution="Keys are never overwritten; choose another name"
        ) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written", detail=str(error.strerror)) from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        _sync_folder(path)
    except OSError as error:
        path.unlink(missing_ok=True)  # half a key is no key; the name is free again
        raise UsageError(f"{path} cannot be written", detail=str(error.strerror)) from error


def replace(path: Path, content: object, *, secret: bool) -> None:
    """Replace a file in one step, so that a reader sees the old or the new one.

    Raises:
        UsageError: It cannot be written.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(_encode(content))
            stream.flush()
            os.fchmod(stream.fileno(), 0o600 if secret else 0o644)
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written", detail=str(error.strerror)) from error


def _sync_folder(path: Path) -> None:
    """Make a name durable: a key that is gone after a power cut takes with it what was sealed to it."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _encode(content: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
