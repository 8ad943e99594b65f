"""BASE_BACKUP of the replication protocol: archives and manifest, as they come.

Source of the protocol: PostgreSQL's manual, "Streaming Replication Protocol", BASE_BACKUP (15 and later).
"""

from __future__ import annotations

from collections.abc import Iterator

from coffer.errors import IntegrityError, OutsideSystemError
from coffer.sources.postgres.replication import ReplicationConnection, ServerSaid
from coffer.sources.postgres.wal import parse_lsn

_UPLOAD_BLOCK = 256 * 1024
_DATA_CORRUPTED = "XX001"
MAIN_ARCHIVE = "base.tar"


class BaseBackup:
    """One running backup. Read `archives()` to its end, then `finish()`.

    Args:
        connection: A connection with nothing else going on.
        label: Name in backup_label and in the server's log.
        manifest: The earlier backup's manifest; makes this one incremental (17 and later).

    Attributes:
        start: Position where replay must begin.
        timeline: Timeline of `start`.
        manifest: This backup's manifest, complete after `archives()`.
        found_damage: The server met pages whose checksum is wrong; its warnings name them. Known after `finish()`.

    Raises:
        ServerSaid: The server refused to begin.
    """

    def __init__(self, connection: ReplicationConnection, *, label: str, manifest: bytes | None = None) -> None:
        self._connection = connection
        self.manifest = b""
        self.found_damage = False
        if manifest is not None:
            self._upload(manifest)
        options = ["LABEL '" + label.replace("'", "''") + "'", "CHECKPOINT 'fast'", "WAIT false", "MANIFEST 'yes'",
                   "MANIFEST_CHECKSUMS 'SHA256'", "TABLESPACE_MAP true"]  # fmt: skip
        if manifest is not None:
            options.append("INCREMENTAL")
        connection.send(f"BASE_BACKUP ({', '.join(options)})")
        (begin,) = connection.rows()
        self.start, self.timeline = parse_lsn(begin["recptr"]), int(begin["tli"])
        self.tablespaces = {row["spcoid"]: row["spclocation"] for row in connection.rows() if row["spcoid"]}
        connection.expect_copy()

    def archives(self) -> Iterator[tuple[str, Iterator[memoryview]]]:
        """Yield each archive's name with its bytes; the manifest, which comes last, is kept."""
        messages = self._connection.messages()
        name: str | None = None
        following: list[str | None] = []

        def content() -> Iterator[memoryview]:
            for message in messages:
                kind = bytes(message[:1])
                if kind == b"d":
                    yield message[1:]
                elif kind in (b"n", b"m"):
                    following.append(_archive_name(message) if kind == b"n" else None)
                    return
                elif kind != b"p":
                    raise OutsideSystemError("PostgreSQL sent an unknown message in a backup", detail=repr(kind))
            following.append(None)

        for _ in content():
            raise IntegrityError("a backup begins in the middle of an archive")
        while (name := following.pop()) is not None:
            archive = content()
            yield name, archive
            for _ in archive:
                pass
        self.manifest = b"".join(content())

    def finish(self) -> tuple[int, int]:
        """Wait for the end of the backup.

        Returns:
            Position up to which replay must come before the data is consistent, and its timeline.

        Raises:
            ServerSaid: It failed.
        """
        rows: list[dict[str, str]] = []
        try:
            while (result := self._connection.result()) is not None:
                if result.ntuples:
                    rows.append({"recptr": _text(result.get_value(0, 0)), "tli": _text(result.get_value(0, 1))})
        except ServerSaid as error:
            if error.sqlstate != _DATA_CORRUPTED or not rows:
                raise
            self.found_damage = True  # said last of all, when everything was sent
        if len(rows) != 1:
            raise OutsideSystemError("PostgreSQL did not say where the backup ends")
        return parse_lsn(rows[0]["recptr"]), int(rows[0]["tli"])

    def _upload(self, manifest: bytes) -> None:
        self._connection.send("UPLOAD_MANIFEST")
        self._connection.expect_copy()
        for offset in range(0, len(manifest), _UPLOAD_BLOCK):
            self._connection.write(manifest[offset : offset + _UPLOAD_BLOCK])
        self._connection.end_copy()
        while self._connection.result() is not None:
            pass


def _archive_name(message: memoryview) -> str:
    return bytes(message[1:]).split(b"\0", 1)[0].decode()


def _text(value: bytes | None) -> str:
    return (value or b"").decode()
