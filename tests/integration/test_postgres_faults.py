"""What a capture refuses: damaged pages, no server, no right, a wrong password."""

from __future__ import annotations

from pathlib import Path

import pytest

from coffer.errors import NotAllowed, Unreachable, UsageError
from coffer.sources.postgres import PostgresSource
from coffer.sources.postgres.replication import ReplicationConnection
from coffer.vault.capture import Kind
from tests.integration.postgres_world import cluster


def test_what_the_server_says_is_said(tmp_path: Path) -> None:
    with cluster() as server:
        server.ensure_role("reader", "right")
        with pytest.raises(Unreachable) as caught:
            ReplicationConnection(server.conninfo(user="reader", password="wrong secret"))
        assert "wrong secret" not in str(caught.value)
        with pytest.raises((NotAllowed, Unreachable), match=r"permission denied|replication"):
            PostgresSource("postgres", server.conninfo(user="reader", password="right")).capture(
                None,  # type: ignore[arg-type]
                Kind.FULL,
                None,
            )
    with pytest.raises(Unreachable):
        ReplicationConnection(server.conninfo())


def test_a_conninfo_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        ReplicationConnection("password=hush host")
    assert "hush" not in str(caught.value)
