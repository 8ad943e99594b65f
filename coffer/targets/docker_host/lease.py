"""One release at a time on a host: a lease with a fencing token, and a file lock around every change."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from coffer.errors import HeldByAnother
from coffer.targets.docker_host import files
from coffer.targets.protocol import Fence


class _State(msgspec.Struct, kw_only=True):
    token: int = 0
    owner: str = ""
    until: datetime | None = None


class Lease:
    """The lease of one environment's directory.

    The lease says who may act; the file lock makes each single change exclusive. The lock is held for moments only,
    so that a rollback gets in while a release waits.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "lease"
        self._lock = directory / "lease.lock"

    def acquire(self, owner: str, within: timedelta, *, takeover: bool = False) -> Fence:
        """Take the lease; see `Target.acquire`."""
        now = datetime.now(UTC)
        with self._locked():
            state = self._read()
            held = state.owner not in ("", owner) and state.until is not None and state.until > now
            if held and not takeover:
                raise HeldByAnother(
                    f"{state.owner} is releasing here",
                    detail=f"its lease ends at {state.until:%H:%M:%S} UTC unless it gives it back",
                    resolution="Wait for it, or end it with: coffer release rollback",
                )
            fence = Fence(state.token + 1, owner)
            self._write(_State(token=fence.token, owner=owner, until=now + within))
            return fence

    def release(self, fence: Fence) -> None:
        """Give it back. The token stays, so that it never comes again."""
        with self._locked():
            state = self._read()
            if state.token == fence.token:
                self._write(_State(token=state.token))

    @contextmanager
    def guard(self, fence: Fence) -> Iterator[None]:
        """Hold the host for one change.

        Raises:
            HeldByAnother: A higher token was given out.
        """
        with self._locked():
            self._refuse_stale(fence)
            yield

    def check(self, fence: Fence) -> None:
        """Look whether the fence still counts, between two moments of waiting.

        Raises:
            HeldByAnother: A higher token was given out.
        """
        with self._locked():
            self._refuse_stale(fence)

    def _refuse_stale(self, fence: Fence) -> None:
        state = self._read()
        if fence.token < state.token or (fence.token == state.token and state.owner not in ("", fence.owner)):
            raise HeldByAnother(
                "another release took over this host",
                detail=f"token {fence.token} of {fence.owner}; {state.owner or 'somebody'} was given {state.token}",
                resolution="What it does stands; plan again afterwards",
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # A file of its own: the lease is replaced by rename, and a lock belongs to an inode.
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> _State:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_State)
        except FileNotFoundError:
            return _State()

    def _write(self, state: _State) -> None:
        files.replace(self._file, msgspec.json.encode(state).decode(), 0o600)
