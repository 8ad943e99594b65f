"""The server's backup manifest: checked against what arrived, and cut down to what the next incremental may trust.

Source of the format: PostgreSQL's manual, "Backup Manifest Format".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coffer.errors import IntegrityError

_END = b'"Manifest-Checksum"'
_RELATION = re.compile(r"(?:base/\d+|global|pg_tblspc/\d+/[^/]+/\d+)/(?:INCREMENTAL\.)?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Received:
    """What arrived of one file, as the server sent it.

    Attributes:
        size: Bytes.
        sha256: Their SHA-256, hexadecimal.
    """

    size: int
    sha256: str


class BackupManifest:
    """A manifest whose own checksum is right.

    Args:
        content: The manifest as the server sent it.

    Raises:
        IntegrityError: It is damaged.
    """

    def __init__(self, content: bytes) -> None:
        body = content[: content.rfind(_END)]
        try:
            self._document: dict[str, Any] = json.loads(content)
        except ValueError as error:
            raise IntegrityError("the backup manifest is damaged", detail=str(error)) from None
        if self._document.get("Manifest-Checksum") != hashlib.sha256(body).hexdigest():
            raise IntegrityError("the backup manifest is damaged", detail="its checksum is wrong")

    @property
    def system_identifier(self) -> int | None:
        """Identifier of the cluster; None before PostgreSQL 17."""
        return self._document.get("System-Identifier")

    @property
    def wal_ranges(self) -> list[tuple[int, str, str]]:
        """Timeline, first and last position of the WAL that the backup needs."""
        return [(part["Timeline"], part["Start-LSN"], part["End-LSN"]) for part in self._document["WAL-Ranges"]]

    def check(self, received: Mapping[str, Received]) -> None:
        """Compare with what arrived.

        Raises:
            IntegrityError: A file is missing, one too many, or has other bytes.
        """
        named = {_path(file): file for file in self._document["Files"]}
        if named.keys() != received.keys():
            different = sorted(named.keys() ^ received.keys())
            raise IntegrityError("the backup has other files than its manifest", detail=", ".join(different[:5]))
        for path, file in named.items():
            if (file["Size"], file["Checksum"]) != (received[path].size, received[path].sha256):
                raise IntegrityError("a file arrived damaged", detail=path)

    def for_incremental(self) -> bytes:
        """Return a manifest that names only main forks.

        The server sends a file whole when the uploaded manifest does not name it. WAL summaries may be trusted for
        main forks only: clearing a bit of a visibility map registers no block in WAL, and free space maps are not
        logged fully; so neither may appear here.
        """
        files = [
            {key: file[key] for key in ("Path", "Size", "Last-Modified")}
            for file in self._document["Files"]
            if _RELATION.fullmatch(file.get("Path", ""))
        ]
        document = {key: value for key, value in self._document.items() if key != "Manifest-Checksum"}
        lines = json.dumps({**document, "Files": files})[:-1].encode() + b",\n"
        return lines + _END + b': "' + hashlib.sha256(lines).hexdigest().encode() + b'"}\n'


def _path(file: Mapping[str, Any]) -> str:
    """Return a file's path; one that is not UTF-8 is written in hexadecimal."""
    if "Path" in file:
        return str(file["Path"])
    return bytes.fromhex(file["Encoded-Path"]).decode(errors="surrogateescape")
