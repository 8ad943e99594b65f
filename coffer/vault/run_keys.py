"""The key of a writer's run, which wraps the content keys of what the run stores.

Apart from packs, so that a command that archives or fetches one segment of WAL starts without what packs need.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from coffer.keys import sealing
from coffer.vault import frames
from coffer.vault.frames import ObjectKind


@dataclass(frozen=True)
class RunKey:
    """The key of one run of a writer: wraps the content keys, lives in memory only."""

    vault: bytes
    id: bytes
    key: bytes = field(repr=False)

    def wrap(self, object_id: bytes, content_key: bytes) -> bytes:
        """Wrap the content key of a pack or WAL object."""
        return frames.seal(self.key, _key_context(self.vault, object_id, self.id), content_key)

    def unwrap(self, object_id: bytes, wrapped: bytes, name: str) -> bytes:
        """Return the content key of a pack or WAL object.

        Raises:
            IntegrityError: It was wrapped for another object or by another run.
        """
        return frames.open_sealed(self.key, _key_context(self.vault, object_id, self.id), wrapped, name)


def nonce(position: int) -> bytes:
    """Return a chunk's nonce: its number in the pack, whose key is used for nothing else."""
    return position.to_bytes(sealing.NONCE_SIZE, "big")


def _key_context(vault: bytes, object_id: bytes, run: bytes) -> bytes:
    return frames.context(ObjectKind.PACK, vault, object_id, b"content-key" + run)
