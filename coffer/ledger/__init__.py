"""Signed, hash-chained record of what was done, to what, on whose word."""

from __future__ import annotations

from coffer.ledger.entries import Entry
from coffer.ledger.journal import Ledger
from coffer.ledger.storage import FolderStorage, LedgerStorage, ObjectStore, StoreStorage
from coffer.ledger.verification import Checkpoint, Verification, verify

__all__ = [
    "Checkpoint",
    "Entry",
    "FolderStorage",
    "Ledger",
    "LedgerStorage",
    "ObjectStore",
    "StoreStorage",
    "Verification",
    "verify",
]
