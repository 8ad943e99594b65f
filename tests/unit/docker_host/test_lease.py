"""One release at a time, and a token that only rises."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from coffer.errors import HeldByAnother, IntegrityError
from coffer.release.observed import Colour, Released
from coffer.targets.docker_host import record
from coffer.targets.docker_host.lease import Lease
from coffer.targets.protocol import Fence

LONG = timedelta(minutes=5)


def test_another_has_to_wait_until_it_is_given_back(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    fence = lease.acquire("r1", LONG)
    with pytest.raises(HeldByAnother, match="r1 is releasing here"):
        lease.acquire("r2", LONG)
    lease.release(fence)
    assert lease.acquire("r2", LONG).token == 2


def test_a_lease_whose_time_is_over_is_free(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    lease.acquire("r1", timedelta(0))
    assert lease.acquire("r2", LONG) == Fence(2, "r2")


def test_the_same_release_takes_it_again_and_shuts_its_earlier_process_out(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    first, second = lease.acquire("r1", LONG), lease.acquire("r1", LONG)
    with pytest.raises(HeldByAnother, match="took over"), lease.guard(first):
        raise AssertionError("a stale token got in")
    with lease.guard(second):
        pass


def test_a_takeover_shuts_the_holder_out_and_its_late_release_changes_nothing(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    first = lease.acquire("r1", LONG)
    second = lease.acquire("rollback", LONG, takeover=True)
    lease.release(first)
    lease.check(second)
    with pytest.raises(HeldByAnother):
        lease.check(first)


def test_the_token_never_comes_again_after_a_release(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    tokens = []
    for number in range(4):
        fence = lease.acquire(f"r{number}", LONG)
        tokens.append(fence.token)
        lease.release(fence)
    assert tokens == [1, 2, 3, 4]


def test_among_many_at_once_one_gets_it(tmp_path: Path) -> None:
    def attempt(number: int) -> int:
        try:
            return Lease(tmp_path).acquire(f"r{number}", LONG).token
        except HeldByAnother:
            return 0

    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(attempt, range(24)))
    assert sorted(tokens)[-1] == 1
    assert tokens.count(0) == 23


def test_the_record_is_one_readable_file(tmp_path: Path) -> None:
    assert record.read(tmp_path).generation == 0
    record.change(tmp_path, generation=3, claimed_by="r3", current=Released("r3", "i", Colour.GREEN))
    record.note_done(tmp_path, "SmokeTest:green")
    record.note_done(tmp_path, "SmokeTest:green")
    assert record.read(tmp_path).journal == ("SmokeTest:green",)
    assert json.loads((tmp_path / "record.json").read_text())["current"]["colour"] == "green"
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_a_damaged_record_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text('{"generation": ')
    with pytest.raises(IntegrityError, match="not a release record"):
        record.read(tmp_path)
