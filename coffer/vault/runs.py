"""A run of a writer: its key lives in memory; the vault keeps it wrapped to the recipients."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from coffer.keys import WriterCredentials, sealing
from coffer.vault import key_objects
from coffer.vault.configuration import Configuration
from coffer.vault.run_keys import RunKey


@dataclass(frozen=True)
class Run:
    """A run's key, and the object that holds it for those who may read.

    Attributes:
        key: The run key.
        name: Name of the key object.
        data: Its bytes.
        signing_key: Of the writer whose run it is.
        configuration: Number of the configuration to whose recipients the key is wrapped.
    """

    key: RunKey
    name: str
    data: bytes
    signing_key: bytes = field(repr=False)
    configuration: int = 0

    @property
    def commitment(self) -> bytes:
        """What the run key is recognised by."""
        return key_objects.commitment(self.key.key)

    @classmethod
    def begin(cls, configuration: Configuration, credentials: WriterCredentials, purpose: str = key_objects.RUN) -> Run:
        """Make a run key and wrap it to every recipient of the vault."""
        key = secrets.token_bytes(sealing.KEY_SIZE)
        run = RunKey(configuration.vault, key_objects.key_id(key), key)
        return cls._wrapped(run, configuration, credentials.signing_key, purpose)

    def wrapped_to(self, configuration: Configuration, purpose: str = key_objects.RUN) -> Run:
        """Wrap the key anew: recipients have changed while the run was in work."""
        return self._wrapped(self.key, configuration, self.signing_key, purpose)

    @classmethod
    def _wrapped(cls, run: RunKey, configuration: Configuration, signing_key: bytes, purpose: str) -> Run:
        name, data = key_objects.wrap(run.vault, purpose, run.id, run.key, configuration.recipients, signing_key)
        return cls(run, name, data, signing_key, configuration.number)
