"""Serves the log to a cluster in recovery from the process that holds the keys, fetching ahead.

PostgreSQL's account can open neither the identity nor, maybe, this Python environment, and an interpreter's start
for each segment would cost more than the segment. So restore_command is a few lines of shell that write a name into
one pipe and wait for the answer on another.
"""

from __future__ import annotations

import os
import select
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from coffer.errors import CofferError, IntegrityError
from coffer.recovery.restore_command import PAST_THE_END, restore_command
from coffer.sources.postgres.programs import own
from coffer.sources.postgres.wal import SEGMENT_SIZE, Segment, is_segment
from coffer.sources.postgres.wal_fetch import PastTheEnd, WalFetcher

_AHEAD = 3
_TIMEOUT = 600
# An answer begins with its name: what a client that was killed left in the pipe is read over.
_CLIENT = f"""\
printf '%s\\n' "$2" > "$1/requests" || exit 126
while IFS=' ' read -r name status rest; do
  [ "$name" = "$2" ] && break
done < "$1/replies"
case "$status" in
  found) mv "$1/spool/$2" "$3" && exit 0 ;;
  end) exit {PAST_THE_END} ;;
esac
echo "coffer wal fetch $2: $status $rest" >&2
exit 126
"""


class WalServer:
    """A context manager; inside it, `restore_command` works for a cluster of this machine.

    Args:
        fetcher: Where the log comes from.
        folder: Folder for the pipes, on the file system of the cluster, reachable for the account.
        user: Account that runs the cluster.
        segment_size: Bytes of a segment.

    Attributes:
        served: Names that were given.
        failures: What went wrong, in order; the end of the log is none.
    """

    def __init__(self, fetcher: WalFetcher, folder: Path, user: str, *, segment_size: int = SEGMENT_SIZE) -> None:
        self._fetcher, self._folder, self._user, self._size = fetcher, folder, user, segment_size
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="wal-fetch")
        self._ahead: dict[str, Future[bytes]] = {}
        self.served: list[str] = []
        self.failures: list[CofferError] = []

    @property
    def restore_command(self) -> str:
        """Shell line for PostgreSQL's setting."""
        client = str(self._folder / "fetch.sh")
        return restore_command(["timeout", str(_TIMEOUT), "sh", client, str(self._folder), "%f", "%p"], PAST_THE_END)

    def __enter__(self) -> WalServer:
        (self._folder / "spool").mkdir(mode=0o700, parents=True)
        self._folder.chmod(0o700)
        (self._folder / "fetch.sh").write_text(_CLIENT)
        for name in ("requests", "replies"):
            os.mkfifo(self._folder / name, 0o600)
        own(self._folder, self._user)
        # Open for both, a pipe never ends and never blocks at its opening.
        self._requests, self._replies = (os.open(self._folder / name, os.O_RDWR) for name in ("requests", "replies"))
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._serve, name="wal-server")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.write(self._waker, b"!")
        self._thread.join()
        self._pool.shutdown(cancel_futures=True)
        for descriptor in (self._requests, self._replies, self._wake, self._waker):
            os.close(descriptor)

    def _serve(self) -> None:
        received = b""
        while True:
            ready, _, _ = select.select([self._requests, self._wake], [], [])
            if self._wake in ready:
                return
            received += os.read(self._requests, 4096)
            *names, received = received.split(b"\n")
            for name in names:
                self._answer(name.decode(errors="replace"))

    def _answer(self, name: str) -> None:
        try:
            data = self._read(name)
            place = self._folder / "spool" / name
            place.write_bytes(data)
            own(place, self._user)
            reply = "found"
            self.served.append(name)
        except PastTheEnd:
            reply = "end"
        except CofferError as error:
            self.failures.append(error)
            reply = f"failed {error}"
        except Exception as error:  # whatever it is, PostgreSQL must not wait for ever, nor take it for the end
            self.failures.append(IntegrityError("the log could not be served", detail=repr(error)))
            reply = f"failed {error!r}"
        os.write(self._replies, f"{name} {' '.join(reply.split())}"[:2_000].encode() + b"\n")

    def _read(self, name: str) -> bytes:
        if not is_segment(name):
            return self._fetcher.read(name)
        known = self._ahead.pop(name, None)
        segment = Segment.parse(name, self._size)
        for _ in range(_AHEAD):
            segment = segment.next()
            if segment.name not in self._ahead:
                self._ahead[segment.name] = self._pool.submit(self._fetcher.read, segment.name)
        return known.result() if known else self._fetcher.read(name)
