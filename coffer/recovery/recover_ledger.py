"""A recovery's entry in the ledger of its host: signed, chained, once."""

from __future__ import annotations

from datetime import UTC, datetime

from coffer.ledger import FolderStorage, Ledger
from coffer.ledger.key_file import load_or_create
from coffer.recovery.recover_journal import Journal
from coffer.recovery.recover_place import RecoveryPlace

ACT = "recovery.done"


def write_ledger(place: RecoveryPlace, journal: Journal) -> int:
    """Append the entry, or find it, and return its number.

    Raises:
        IntegrityError: The chain is broken.
    """
    # One ledger for all environments of a host, beside their directories: where `coffer ledger` looks.
    folder = place.directory.parent
    ledger = Ledger.open(FolderStorage(folder / "ledger"), load_or_create(folder / "secrets" / "ledger.key"))
    record = journal.record
    detail = {
        "environment": record.plan.environment,
        "service": record.plan.service,
        "point": record.plan.point,
        "target": str(record.plan.target),
        "image": record.plan.image,
        "confirmed_by": record.confirmed_by,
        "begun": record.begun,
        "set_aside": record.plan.replaced,
        "seconds": {key: done.seconds for key, done in record.done.items()},
    }
    return ledger.append(ACT, record.plan.id, detail, datetime.now(UTC), request=f"{record.plan.id}/{ACT}").number
