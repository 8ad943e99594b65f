"""The process that stays: what it acknowledges, what it fetches ahead, how it ends."""

from __future__ import annotations

import struct
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from coffer.errors import (
    CofferError,
    HeldByAnother,
    IntegrityError,
    NotInEveryStore,
    NotThere,
    Unreachable,
    UnsafeTarget,
    UsageError,
)
from coffer.sources.postgres.wal import Segment
from coffer.sources.postgres.wal_archiver import Archiver
from coffer.sources.postgres.wal_commands import archive_command, client_words
from coffer.sources.postgres.wal_fetch import PastTheEnd, WalFetcher
from coffer.sources.postgres.wal_prefetch import Prefetcher
from coffer.sources.postgres.wal_push import WalPusher
from coffer.sources.postgres.wal_resident import Resident, ask, private_folder, socket_path
from coffer.vault.capture import Fact

SIZE = 1024 * 1024
SYSTEM = 7_000_000_000_000_000_001


def content(number: int, *, timeline: int = 1, system: int = SYSTEM, magic: int = 0xD118, fill: bytes = b"w") -> bytes:
    start = Segment(timeline, number, SIZE).start
    return struct.pack("<HHIQI4xQII", magic, 2, timeline, start, 0, system, SIZE, 8192).ljust(SIZE, fill)


def name(number: int, timeline: int = 1) -> str:
    return Segment(timeline, number, SIZE).name


class Vault:
    """Keeps what is put, in order; `refuse` fails a name once."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.facts: dict[str, Mapping[str, Fact]] = {}
        self.refuse: dict[str, CofferError] = {}
        self.asked: list[str] = []

    def prepare_wal(self, cluster: str, segment: str, data: bytes, facts: Mapping[str, Fact], /) -> object:
        return cluster, segment, data, facts

    def put_prepared(self, file: tuple[str, str, bytes, Mapping[str, Fact]], /) -> None:
        cluster, segment, data, facts = file
        self.put_wal(cluster, segment, data, facts=facts)

    def put_wal(self, cluster: str, segment: str, data: bytes, /, *, facts: Mapping[str, Fact] | None = None) -> None:
        if segment in self.refuse:
            raise self.refuse.pop(segment)
        if self.files.setdefault(segment, data) != data:
            raise IntegrityError("Other bytes are there under that name")
        self.facts[segment] = facts or {}

    def wal_names(self, cluster: str, /, *, every_store: bool = False) -> Collection[str]:
        return list(self.files)

    def has_wal(self, cluster: str, segment: str, /) -> Mapping[str, bool]:
        return {"memory:": segment in self.files}

    def wal_facts(self, cluster: str, segment: str, /) -> Mapping[str, Fact]:
        return self.facts[segment]

    def get_wal(self, cluster: str, segment: str, /) -> bytes:
        self.asked.append(segment)
        if segment in self.refuse:
            raise self.refuse.pop(segment)
        if segment not in self.files:
            raise NotThere(segment)
        return self.files[segment]


@pytest.fixture
def pg_wal(tmp_path: Path) -> Path:
    folder = tmp_path / "pg_wal"
    (folder / "archive_status").mkdir(parents=True)
    for number in range(3, 12):
        (folder / name(number)).write_bytes(content(number))
        (folder / "archive_status" / f"{name(number)}.ready").touch()
    return folder


def archiver(vault: Vault, **options: int) -> Archiver:
    return Archiver(WalPusher(vault, cluster="main", **options), vault)


def settle(vault: Vault, count: int) -> None:
    deadline = time.monotonic() + 10
    while len(vault.files) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_is_ready_is_archived_ahead_and_in_order(pg_wal: Path) -> None:
    vault = Vault()
    mine = archiver(vault)
    mine.push(pg_wal / name(3))
    settle(vault, 7)
    mine.close()
    assert list(vault.files) == [name(number) for number in range(3, 10)], "six ahead, no more"
    assert vault.facts[name(4)] == {"system": str(SYSTEM), "version": 18, "segment_size": SIZE}


def test_a_file_is_acknowledged_only_as_it_is_now(pg_wal: Path) -> None:
    vault = Vault()
    mine = archiver(vault)
    mine.push(pg_wal / name(3))
    settle(vault, 7)
    (pg_wal / name(4)).write_bytes(content(4, fill=b"x"))
    with pytest.raises(IntegrityError, match="Other bytes"):
        mine.push(pg_wal / name(4))
    mine.push(pg_wal / name(5))
    (pg_wal / name(6)).unlink()
    with pytest.raises(CofferError):
        mine.push(pg_wal / name(6))
    mine.close()


def test_a_failure_ahead_is_tried_again_when_it_is_asked_for(pg_wal: Path) -> None:
    vault = Vault()
    vault.refuse = {name(4): Unreachable("away"), name(3): Unreachable("away")}
    mine = archiver(vault)
    with pytest.raises(Unreachable):
        mine.push(pg_wal / name(3))
    mine.push(pg_wal / name(3))
    mine.push(pg_wal / name(4))
    mine.close()
    assert {name(3), name(4)} <= set(vault.files)


def test_a_failure_leaves_no_hole_behind_it(pg_wal: Path) -> None:
    vault = Vault()
    vault.refuse = {name(5): Unreachable("away")}
    mine = archiver(vault)
    mine.push(pg_wal / name(3))
    mine.push(pg_wal / name(4))  # its answer comes after the put of 5 was refused, or before: 6 waits for 5
    mine.close()
    assert list(vault.files) == [name(3), name(4)]


def test_how_many_stores_may_lack_it_is_kept(pg_wal: Path) -> None:
    for lacking, accepted in ((1, True), (2, False)):
        vault, error = Vault(), NotInEveryStore("not in every store")
        error.lacking = ("s3://a", "s3://b")[:lacking]
        vault.refuse = {name(3): error}
        mine = archiver(vault, may_lack=1)
        if accepted:
            mine.push(pg_wal / name(3))
        else:
            with pytest.raises(NotInEveryStore):
                mine.push(pg_wal / name(3))
        mine.close()


def test_another_cluster_another_version_another_size_are_refused(pg_wal: Path) -> None:
    vault = Vault()
    WalPusher(vault, cluster="main").push(pg_wal / name(3))
    file = pg_wal / name(4)
    file.write_bytes(content(4, system=SYSTEM + 1, magic=0xD113))
    with pytest.raises(UnsafeTarget, match=r"PostgreSQL 18, this one is 16.*pg_upgrade"):
        WalPusher(vault, cluster="main").push(file)
    file.write_bytes(content(4, magic=0xD110))
    with pytest.raises(UnsafeTarget, match="of PostgreSQL 15"):
        WalPusher(vault, cluster="main").push(file)
    file.write_bytes(content(4, system=SYSTEM + 1))
    vault.files.clear()
    WalPusher(vault).push(file)  # by its system identifier it is another's log


def test_a_timeline_goes_in_with_its_history(pg_wal: Path) -> None:
    vault = Vault()
    (pg_wal / "00000002.history").write_bytes(b"1\t0/500000\tno recovery target specified\n")
    (pg_wal / name(5, 2)).write_bytes(content(5, timeline=2))
    WalPusher(vault, cluster="main").push(pg_wal / name(5, 2))
    assert list(vault.files) == ["00000002.history", name(5, 2)]
    (pg_wal / name(4, 2)).write_bytes(content(4, timeline=2))
    with pytest.raises(IntegrityError, match="older than its timeline"):
        WalPusher(vault, cluster="main").push(pg_wal / name(4, 2))


def prefetcher(vault: Vault, folder: Path) -> Prefetcher:
    (folder / "spool").mkdir()
    return Prefetcher(WalFetcher(vault, "main", segment_size=SIZE), folder / "spool", segment_size=SIZE)


def test_what_comes_next_is_fetched_ahead_checked_and_left_nowhere(tmp_path: Path) -> None:
    vault = Vault()
    vault.files = {name(number): content(number) for number in range(3, 20)}
    mine = prefetcher(vault, tmp_path)
    for number in range(3, 20):
        mine.fetch(name(number), tmp_path / "RECOVERYXLOG")
        assert (tmp_path / "RECOVERYXLOG").read_bytes() == content(number)
    assert sorted(set(vault.asked))[:17] == [name(number) for number in range(3, 20)]
    assert all(vault.asked.count(name(number)) == 1 for number in range(3, 20))
    with pytest.raises(PastTheEnd):
        mine.fetch(name(20), tmp_path / "RECOVERYXLOG")
    vault.files[name(20)] = content(20)
    mine.fetch(name(20), tmp_path / "RECOVERYXLOG")  # what was absent ahead is asked for anew
    mine.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_what_fails_ahead_is_judged_when_it_is_asked_for(tmp_path: Path) -> None:
    vault = Vault()
    vault.files = {name(number): content(number) for number in range(3, 9)}
    vault.files[name(5)] = content(5, system=SYSTEM + 1)
    del vault.files[name(7)]
    mine = prefetcher(vault, tmp_path)
    mine.fetch(name(3), tmp_path / "RECOVERYXLOG")
    mine.fetch(name(4), tmp_path / "RECOVERYXLOG")
    with pytest.raises(UnsafeTarget, match="another cluster"):
        mine.fetch(name(5), tmp_path / "RECOVERYXLOG")
    with pytest.raises(IntegrityError, match=f"{name(7)} is missing.*{name(8)}"):
        mine.fetch(name(7), tmp_path / "RECOVERYXLOG")
    mine.close()


def test_a_resident_answers_and_ends_and_leaves_no_socket(tmp_path: Path) -> None:
    alive = threading.Event()
    alive.set()
    folder = private_folder(tmp_path / "run")
    path = socket_path(folder, "push", tmp_path)
    asked: list[list[str]] = []
    resident = Resident(path, lambda words: (asked.append(words), (13, "other\nbytes"))[1], alive=alive.is_set, idle=60)
    thread = threading.Thread(target=resident.run)
    thread.start()
    try:
        with pytest.raises(HeldByAnother):
            Resident(path, lambda words: (0, ""), alive=alive.is_set)
        assert ask(path, ["push", "/a b"]) == (13, "other bytes")
        words = client_words(folder, "push", Path("/bin/false"), Path("/none"), ["pg_wal/x"])
        ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert (ended.returncode, "other bytes" in ended.stderr) == (13, True)
        assert asked == [["push", "/a b"], ["push", f"{tmp_path}/pg_wal/x"]]
    finally:
        alive.clear()
        thread.join(10)
    assert not path.exists()
    assert ask(path, ["push", "/a"]) is None
    gone = subprocess.run(words, cwd=tmp_path, capture_output=True)
    assert gone.returncode == 1, "nobody is there: the command itself is called"


def test_somebody_elses_folder_is_not_believed(tmp_path: Path) -> None:
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    with pytest.raises(UnsafeTarget):
        private_folder(open_folder)
    (tmp_path / "link").symlink_to(private_folder(tmp_path / "mine"))
    with pytest.raises(UnsafeTarget):
        private_folder(tmp_path / "link")
    path = socket_path(open_folder, "push", tmp_path)
    threading.Thread(target=Resident(path, lambda words: (0, ""), alive=path.exists, idle=5).run, daemon=True).start()
    words = client_words(open_folder, "push", Path(sys.executable), Path("/none"), ["x"])
    assert subprocess.run(words, cwd=tmp_path, capture_output=True).returncode != 0, "it said yes, and was not asked"
    path.unlink()


def test_a_folder_in_which_no_socket_fits_is_refused_before_postgresql_is_told() -> None:
    with pytest.raises(UsageError, match="too long for a UNIX socket"):
        archive_command(Path("wal.toml"), "/spool" * 20)
