"""What was last seen of a vault, kept beside a key file: what makes a store that was set back noticed."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from coffer.errors import UsageError
from coffer.keys import key_files
from coffer.vault.catalogue import Known, check_head

_log = logging.getLogger(__name__)


class Head(msgspec.Struct, frozen=True):
    """The newest point of a service: its counter and its manifest's SHA-256."""

    counter: int
    sha256: str


class _State(msgspec.Struct, tag="coffer-state-1", tag_field="type"):
    vault: str
    configuration: int = 0
    heads: dict[str, Head] = {}


class KnownHeads:
    """Heads of one vault, in FILE.state beside a key file; in memory only where there is no file.

    Args:
        key_file: The key file, or None.
        vault: Vault id; the state of another vault is not used.
    """

    def __init__(self, key_file: Path | None, vault: str) -> None:
        self._key_file = key_file
        self._path = key_file.with_name(key_file.name + ".state") if key_file else None
        self._state = _State(vault)
        self.reload()

    @property
    def configuration(self) -> int:
        """Highest configuration number seen."""
        return self._state.configuration

    def counter(self, service: str) -> int:
        """Return the highest counter that was seen of a service; 0 for none."""
        head = self._state.heads.get(service)
        return head.counter if head else 0

    def check(self, known: list[Known]) -> None:
        """Make sure that nothing that was seen before the points were listed is gone.

        Raises:
            IntegrityError: A service's history does not reach as far as it did.
        """
        for service, head in self._state.heads.items():
            check_head(known, service, head.counter)

    def reload(self) -> None:
        """Take in what other processes have seen until now; to be called before the points are listed."""
        if self._path and self._path.exists():
            stored = key_files.read(self._path, _State, "a state file")
            if stored.vault == self._state.vault:
                self._state = stored

    def remember(self, known: list[Known], configuration: int) -> None:
        """Keep what is newest now; of several processes one at a time, so that none takes back what another saw."""
        with self._alone():
            self._remember(known, configuration)

    def _remember(self, known: list[Known], configuration: int) -> None:
        self.reload()
        heads = dict(self._state.heads)
        for each in known:
            before = heads.get(each.point.service)
            if before is None or each.point.counter >= before.counter:
                heads[each.point.service] = Head(each.point.counter, each.point.object_name[-64:])
        state = _State(self._state.vault, max(configuration, self._state.configuration), heads)
        if msgspec.json.encode(state) == msgspec.json.encode(self._state):
            return
        self._state = state
        if self._path:
            try:
                key_files.replace(self._path, state, secret=True)
            except UsageError as error:  # a key on a read-only mount still works, without this memory
                _log.warning("What was last seen of the vault is not remembered: %s", error)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the key file's lock; where the file system has none, or the file is gone, go on without."""
        with ExitStack() as stack:
            if self._key_file is not None:
                with suppress(OSError):
                    stream = stack.enter_context(self._key_file.open("rb"))
                    fcntl.flock(stream, fcntl.LOCK_EX)
            yield
