"""A PostgreSQL cluster as a source of recovery points."""

from __future__ import annotations

from collections.abc import Mapping

from coffer.errors import NotAllowed, Unreachable
from coffer.sources.postgres.capture_choice import Capture, split_capture
from coffer.sources.postgres.direct import capture_direct
from coffer.sources.postgres.local_cluster import LocalCluster, NotLocal
from coffer.sources.postgres.stream import capture_stream
from coffer.sources.postgres.wal_archive import WalWriter
from coffer.sources.postgres.wal_proof import prove_wal
from coffer.vault.capture import Fact, Kind, Parent, SourceSink


class PostgresSource:
    """A PostgreSQL cluster.

    Args:
        name: Its name inside the point.
        conninfo: How to reach it; the role needs REPLICATION. It may hold `capture=auto|direct|stream` beside libpq's
            own options.
        cluster: Name of its WAL in the vault; default: the system identifier.
        capture: `direct` reads the data folder, `stream` uses the replication protocol, `auto` takes the first that
            can be done.

    Attributes:
        reads_again: It gives pages anew that the vault asks for, or does a full by itself where it cannot.

    Raises:
        UsageError: There is no such capture.
    """

    reads_again = True

    def __init__(self, name: str, conninfo: str, *, cluster: str = "", capture: str = "auto") -> None:
        self._name = name
        self._conninfo, said = split_capture(conninfo)
        self._capture = Capture.parse(said or capture)
        self._cluster = cluster

    @property
    def name(self) -> str:
        """Name inside the point."""
        return self._name

    @property
    def kind(self) -> str:
        """Kind of source."""
        return "postgres"

    @property
    def conninfo(self) -> str:
        """How to reach it. Holds a password: never print it."""
        return self._conninfo

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        """Back it up into the sink.

        A page that is damaged in the database does not fail it: the facts name it under `bad_pages` and `damage`.

        Raises:
            NotLocal: It is to be captured directly, and cannot be.
            IntegrityError: Bytes changed on their way.
            Unreachable: No server there.
            OutsideSystemError: The server refused.
        """
        facts = self._direct(sink, kind, parent)
        if facts is None:
            facts = capture_stream(self._conninfo, sink, kind, parent, name=self._name)
        return {**facts, "cluster": self._cluster or str(facts["system_identifier"])}

    def prove_wal(self, archive: WalWriter, facts: Mapping[str, Fact]) -> list[str]:
        """Make sure that the WAL of a capture is in the vault; call it before the point is committed.

        Returns:
            Names of the WAL files, all of them there.

        Raises:
            StepFailed: WAL is missing: the point must not be committed.
        """
        return prove_wal(archive, str(facts["cluster"]), facts, conninfo=self._conninfo)

    def _direct(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> dict[str, Fact] | None:
        """Capture directly, unless another way was asked for, or has to be gone; nothing was pushed then."""
        if self._capture is Capture.STREAM:
            return None
        try:
            cluster = LocalCluster(self._conninfo)
        except (NotLocal, NotAllowed, Unreachable):  # a role for replication alone has no ordinary connection
            if self._capture is Capture.DIRECT:
                raise
            return None
        with cluster:
            return capture_direct(cluster, sink, kind, parent, name=self._name)
