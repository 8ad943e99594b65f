"""Keys: identities, recipients, writers, and the primitives under them."""

from __future__ import annotations

from coffer.keys.identity import Identity, Recipient, generate_identity
from coffer.keys.pruner_credentials import PrunerCredentials
from coffer.keys.writer_credentials import WriterCredentials

__all__ = ["Identity", "PrunerCredentials", "Recipient", "WriterCredentials", "generate_identity"]
