"""Key files: JSON, written once or replaced whole, 0600 where they hold a secret."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

from coffer.errors import UsageError

T = TypeVar("T")


def read(path: Path, shape: type[T], what: str) -> T:
    """Read a key file.

    Args:
        path: The file.
        shape: The struct it must hold; its tag is checked.
        what: What the reader expected, for the error.

    Raises:
        UsageError: It is absent, unreadable or something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=shape)
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
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


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


def _encode(content: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
