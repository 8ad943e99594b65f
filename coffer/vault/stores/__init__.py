"""Places that keep a vault's objects: a folder, an S3 bucket, this process's memory."""

from __future__ import annotations

from coffer.vault.stores.opening import open_store
from coffer.vault.stores.protocol import ObjectInfo, Store

__all__ = ["ObjectInfo", "Store", "open_store"]
