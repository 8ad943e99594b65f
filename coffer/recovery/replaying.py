"""Waits while a restored cluster replays its log and promotes, and says what is wrong if it does not."""

from __future__ import annotations

import re
import time

from coffer.errors import NotThere, StepFailed
from coffer.recovery.wal_server import WalServer
from coffer.sources.postgres.programs import Programs
from coffer.sources.postgres.server import PostgresServer

_POLL = 0.05
_SUMMARIES_SINCE = 17
_TOO_SHORT = "recovery ended before configured recovery target was reached"
_LAST_COMMIT = re.compile(r"last completed transaction was at log time (\S+ \S+)")
# What a restored configuration may bring along and must not do while nobody else may see the cluster.
ISOLATED = {
    "listen_addresses": "",
    "ssl": "off",
    "archive_mode": "off",
    "archive_cleanup_command": "",
    "recovery_end_command": "",
    "primary_conninfo": "",
    "max_logical_replication_workers": "0",
    "summarize_wal": "off",
    "autovacuum": "off",
    "hot_standby": "off",  # connections only after promotion, and no comparison with the original's limits
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_min_messages": "warning",
}


def isolated_settings(installation: Programs | None) -> dict[str, str]:
    """Return `ISOLATED` as far as an installation knows the settings; None is the wheel's, which knows all."""
    known = installation is None or installation.major() >= _SUMMARIES_SINCE
    return {name: value for name, value in ISOLATED.items() if known or name != "summarize_wal"}


def replay(server: PostgresServer, wal: WalServer, *, timeout: float) -> None:
    """Start a cluster that is configured to recover, and wait until it has promoted.

    Args:
        server: The cluster.
        wal: Brings its log.
        timeout: Seconds.

    Raises:
        IntegrityError: WAL could not be brought; what is wrong with it is said.
        NotThere: The log ends before the target.
        StepFailed: PostgreSQL ended or took too long; the end of its log is in the detail.
    """
    server.launch()
    try:
        _wait_promoted(server, timeout)
    except StepFailed as error:
        if wal.failures:
            raise wal.failures[0] from error
        log = server.log_tail()
        if _TOO_SHORT in log:
            last = _LAST_COMMIT.search(log)
            when = f"the last transaction in it ended at {last[1]}" if last else "it holds no transaction"
            raise NotThere("the log ends before that moment", detail=when) from error
        raise


def _wait_promoted(server: PostgresServer, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        left = deadline - time.monotonic()
        server.wait_ready(timeout=max(left, 0.1))
        with server.connect() as connection:
            row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
        if row is not None and not row[0]:
            return
        if left < 0:
            raise StepFailed(f"replay took longer than {timeout:g} s", detail=server.log_tail())
        time.sleep(_POLL)
