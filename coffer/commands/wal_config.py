"""The file behind `coffer wal --config` and `coffer files watch --config`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from coffer.commands.who import Who
from coffer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from coffer.sources.postgres.wal_fetch import WalFetcher
    from coffer.sources.postgres.wal_push import WalPusher
    from coffer.vault.reader import VaultReader
    from coffer.vault.writer import VaultWriter

DEFAULT_PATH = "/etc/coffer/wal.toml"
_KEYS: dict[str, type | tuple[type, ...]] = {
    "stores": list,
    "aws_credentials_file": str,
    "writer_file": str,
    "identity_file": str,
    "passphrase_file": str,
    "kms_key": str,
    "root": str,
    "conninfo": str,
    "slot": str,
    "cluster": str,
    "system_identifier": str,
    "segment_size": int,
    "piece_seconds": (int, float),
    "path": str,
    "service": str,
    "source": str,
    "scan_seconds": (int, float),
    "status_file": str,
    "spool": str,
    "idle_seconds": (int, float),
    "least_stores": int,
}


class WalConfig:
    """What `--config` says.

    Args:
        path: A TOML file that only its owner may read; it may hold a password.

    Raises:
        UsageError: It is absent, readable for others, no TOML, or has an unknown key or a wrong type.
    """

    def __init__(self, path: Path) -> None:
        import tomllib

        self.path = path
        try:
            mode = path.stat().st_mode
            self._values: dict[str, Any] = tomllib.loads(path.read_text())
        except OSError as error:
            raise UsageError(f"{path} cannot be read", detail=error.strerror or str(error)) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} is not TOML", detail=str(error)) from error
        if mode & 0o077:
            raise UsageError(f"{path} can be read by others", resolution=f"chmod 600 {path}")
        for key, value in self._values.items():
            if key not in _KEYS or not isinstance(value, _KEYS[key]):
                raise UsageError(f"{path}: '{key}' is unknown or of another type", detail=f"known: {', '.join(_KEYS)}")

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - checked against _KEYS
        """Return a value or the default."""
        return self._values.get(key, default)

    def need(self, key: str) -> Any:  # noqa: ANN401 - checked against _KEYS
        """Return a value.

        Raises:
            UsageError: The file does not have it.
        """
        if key not in self._values:
            raise UsageError(f"{self.path} lacks '{key}'")
        return self._values[key]

    def open_stores(self) -> list[Any]:
        """Open the stores."""
        from coffer.vault.stores import open_store

        credentials = Path(self.get("aws_credentials_file")) if self.get("aws_credentials_file") else None
        return [open_store(url, credentials_file=credentials) for url in self.need("stores")]

    def open_writer(self) -> VaultWriter:
        """Open the vault for writing."""
        from coffer.keys import WriterCredentials
        from coffer.vault.writer import VaultWriter

        return VaultWriter.open(self.open_stores(), WriterCredentials.load(Path(self.need("writer_file"))))

    def open_reader(self) -> VaultReader:
        """Open the vault for reading."""
        from coffer.vault.reader import VaultReader

        if not self.names_reader:
            self.need("identity_file")
        return VaultReader.open(self.open_stores(), self._who().open(), root=self.get("root"))

    def open_pusher(self, writer: VaultWriter, log: Callable[[str], None]) -> WalPusher:
        """Return what puts files into the vault, as `least_stores` promises: by default every store.

        Raises:
            UsageError: There are fewer stores than that, or it is less than one.
        """
        from coffer.sources.postgres.wal_push import WalPusher

        stores = len(self.need("stores"))
        least = self.get("least_stores", stores)
        if not 1 <= least <= stores:
            raise UsageError(f"{self.path}: 'least_stores' is {least}, there are {stores} stores")
        return WalPusher(
            writer, cluster=self.get("cluster", ""), system=self.get("system_identifier"), may_lack=stores - least,
            log=log,
        )  # fmt: skip

    def open_fetcher(self, data: Path | None) -> WalFetcher:
        """Return what brings files back.

        Args:
            data: The data folder that recovers, where known: its log must be of its own system and version.
        """
        from coffer.sources.postgres.wal import SEGMENT_SIZE
        from coffer.sources.postgres.wal_fetch import WalFetcher
        from coffer.sources.postgres.wal_push import system_of

        size = self.get("segment_size", SEGMENT_SIZE)
        system, version = self.get("system_identifier"), None
        if data is not None:
            system, version = system or system_of(data), int((data / "PG_VERSION").read_text())
        return WalFetcher(
            self.open_reader(), self.need("cluster"), system=system, segment_size=size, version=version
        )  # fmt: skip

    @property
    def names_reader(self) -> bool:
        """Whether it says who opens the vault."""
        return self._who().named

    def _who(self) -> Who:
        identity, passphrase = (self._path(key) for key in ("identity_file", "passphrase_file"))
        return Who(identity, passphrase, kms=self.get("kms_key"))

    def _path(self, key: str) -> Path | None:
        return Path(self.get(key)) if self.get(key) else None
