"""supervisord as the keeper of a place: programs start and stop by their names, and what it refuses is said."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from coffer.errors import OutsideSystemError, StepFailed, UsageError
from coffer.recovery.recover_keeper import open_keeper
from coffer.recovery.recover_place import RecoveryPlace
from coffer.stack.service import Service
from coffer.stack.supervisor import Supervisor


def service(name: str, *argv: str) -> Service:
    return Service(name=name, argv=argv, ready=lambda: None, address="")


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with tempfile.TemporaryDirectory(prefix="coffer-sv-") as name:
        made = Supervisor(Path(name), Path(name), name)
        made.apply([service("postgres-x", "sleep", "600"), service("broken-x", "false")])
        yield made
        made.shut_down()


def keeper(socket: Path, **units: str) -> Any:
    place = SimpleNamespace(keeper=f"supervisor:{socket}", units=units)
    return open_keeper(cast(RecoveryPlace, place))


def test_programs_start_and_stop_by_name_as_often_as_asked(supervisor: Supervisor) -> None:
    socket = supervisor._run / "supervisor.sock"
    kept = keeper(socket, postgres="postgres-x", redis="broken-x", wal="nobody-x")
    assert kept.keeps("postgres")
    assert not kept.keeps("files")
    for _ in range(2):
        kept.start("postgres")
        assert supervisor.states()["postgres-x"].state == "RUNNING"
    for _ in range(2):
        kept.stop("postgres")
        assert supervisor.states()["postgres-x"].state == "STOPPED"
    kept.start("files")  # nobody's: nothing happens
    with pytest.raises(StepFailed, match="broken-x does not start"):
        kept.start("redis")
    with pytest.raises(StepFailed, match="nobody-x does not start"):
        kept.start("wal")


def test_a_supervisor_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises((OutsideSystemError, StepFailed)) as caught:
        keeper(tmp_path / "none.sock", postgres="postgres-x").start("postgres")
    assert "none.sock" in str(caught.value) or "refused" in str(caught.value)
    with pytest.raises(UsageError, match="keeps no programs"):
        open_keeper(cast(RecoveryPlace, SimpleNamespace(keeper="cron", units={})))
