"""A folder that is watched: what is new is in the vault, whatever happens to watcher, store or folder."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coffer.recovery.restore_files import files_known_until, restore_files
from coffer.recovery.target import RestoreTarget, TargetKind
from coffer.sources.files import FilesSource
from coffer.sources.watching import folder_events
from coffer.sources.watching.folder_events import FolderEvents, Seen
from coffer.sources.watching.watcher import FilesWatcher, Watched
from coffer.vault.capture import Kind
from coffer.vault.journal import Shipment
from coffer.vault.reader import VaultReader
from coffer.vault.stores.file import FileStore
from coffer.vault.stores.memory import MemoryStore
from tests.unit.vault.faulty import FaultyStore
from tests.unit.vault.making import World, read_tree


class Place:
    """A vault, a folder beside it, and what a service would do to the folder."""

    def __init__(self, folder: Path, world: World) -> None:
        self.world, self.uploads, self.out = world, folder / "uploads", folder / "out"
        self.uploads.mkdir()
        self.lines: list[str] = []

    def upload(self, content: bytes, where: str = "") -> bytes:
        """Write beside, rename into place."""
        name = where + hashlib.sha256(content).hexdigest()
        incoming = self.uploads / ".incoming"
        incoming.write_bytes(content)
        incoming.rename(self.uploads / name)
        return name.encode()

    @contextmanager
    def watching(self, scan_seconds: float = 600, settle_seconds: float = 0.2) -> Iterator[FilesWatcher]:
        stop = threading.Event()
        failures: list[BaseException] = []
        watched = Watched(bytes(self.uploads), "app", "files", scan_seconds, settle_seconds)
        looks = threading.Event()
        watcher = FilesWatcher(watched, self.world.writer(), self.lines.append, lambda _status: looks.set())

        def run() -> None:
            try:
                watcher.run(stop)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        assert looks.wait(20), "it does not begin to watch"
        try:
            yield watcher
        finally:
            stop.set()
            thread.join(20)
        assert not failures, failures

    def shipped(self) -> set[bytes]:
        return {part.path for each in self.world.reader().shipments("app", "files") for part in each.files}

    def restored(self, target: RestoreTarget | None = None, folder: str = "out") -> dict[bytes, bytes]:
        reader, out = self.world.reader(), self.out.with_name(folder)
        points = reader.points("app")
        point = points[-1] if points else None
        assert restore_files(reader, points, "files", target or RestoreTarget(), point, out, service="app")  # type: ignore[arg-type]
        return read_tree(out)


def with_files(reader: VaultReader) -> list[Shipment]:
    """Shipments but for those that only say that all is shipped."""
    return [each for each in reader.shipments("app", "files") if each.files]


def until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coffer.sources.watching.watcher._LOOK_SECONDS", 0.05)
    monkeypatch.setattr("coffer.sources.watching.watcher._FIRST_PAUSE", 0.1)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, World(tmp_path))


def test_an_upload_is_in_the_vault_within_a_moment_and_comes_back(place: Place) -> None:
    before = place.upload(b"was there before")
    (place.uploads / before.decode()).chmod(0o440)
    with place.watching():
        until(lambda: before in place.shipped(), "what was there before")
        new = place.upload(b"new")
        until(lambda: new in place.shipped(), "what is new")
    assert place.restored() == {before: b"was there before", new: b"new"}
    restored = place.out / before.decode()
    original = (place.uploads / before.decode()).stat()
    assert (restored.stat().st_mode, restored.stat().st_mtime_ns) == (original.st_mode, original.st_mtime_ns)


def test_the_moment_decides_which_files_come_back(place: Place) -> None:
    place.upload(b"first")
    place.world.back_up(FilesSource("files", place.uploads))  # type: ignore[arg-type]
    with place.watching():
        second = place.upload(b"second")
        until(lambda: second in place.shipped(), "second")
        between = datetime.now(UTC)
        third = place.upload(b"third")
        until(lambda: third in place.shipped(), "third")
    at = RestoreTarget.at_time
    assert set(place.restored(at(between), "a").values()) == {b"first", b"second"}
    assert set(place.restored(at(datetime.now(UTC)), "b").values()) == {b"first", b"second", b"third"}
    assert set(place.restored(None, "c").values()) == {b"first", b"second", b"third"}
    assert set(place.restored(RestoreTarget(TargetKind.POINT), "d").values()) == {b"first"}
    # A file that was gone before the next point began is not lost to a moment at which it was there.
    (place.uploads / second.decode()).unlink()
    place.world.back_up(FilesSource("files", place.uploads))  # type: ignore[arg-type]
    assert b"second" in set(place.restored(at(between), "e").values())


def test_nothing_is_shipped_twice_and_a_point_takes_over(place: Place) -> None:
    place.upload(b"in the point")
    place.world.back_up(FilesSource("files", place.uploads))  # type: ignore[arg-type]
    with place.watching() as watcher:
        new = place.upload(b"new")
        until(lambda: new in place.shipped(), "new")
        assert watcher.shipped == 1
    with place.watching() as watcher:
        again = place.upload(b"after another start")
        until(lambda: again in place.shipped(), "again")
        assert watcher.shipped == 1
    chain = place.world.reader().shipments("app", "files")
    assert [each.previous for each in chain] == ["", *(each.name for each in chain[:-1])]


def test_a_file_that_is_half_written_waits_for_the_other_half(place: Place) -> None:
    whole = b"half and half"
    name = hashlib.sha256(whole).hexdigest()
    with (
        place.watching(settle_seconds=30),
        (place.uploads / name).open("wb") as growing,
        (place.uploads / "plain").open("wb") as plain,
    ):
        growing.write(whole[:4])
        growing.flush()
        plain.write(b"x")
        plain.flush()
        other = place.upload(b"other")
        until(lambda: other in place.shipped(), "other")
        assert name.encode() not in place.shipped()
        growing.write(whole[4:])
        growing.close()
        plain.write(b"y")
        plain.close()
        until(lambda: {name.encode(), b"plain"} <= place.shipped(), "the whole")
    assert place.restored()[name.encode()] == whole
    assert place.restored(folder="again")[b"plain"] == b"xy"


def test_a_file_that_is_not_what_its_name_says_is_named_and_not_shipped(place: Place) -> None:
    name = "0" * 64
    with place.watching():
        (place.uploads / name).write_bytes(b"rotten")
        until(lambda: any(name in line for line in place.lines), "it is said")
        good = place.upload(b"good")
        until(lambda: good in place.shipped(), "good")
    assert name.encode() not in place.shipped()


def test_a_hard_link_and_folders_that_come_later_are_seen(place: Place, tmp_path: Path) -> None:
    with place.watching():
        until(lambda: place.lines, "it runs")
        outside = tmp_path / "outside"
        outside.write_bytes(b"linked")
        os.utime(outside, (1_700_000_000, 1_700_000_000))
        os.link(outside, place.uploads / "linked")
        (place.uploads / "a" / "b").mkdir(parents=True)
        deep = place.upload(b"deep", "a/b/")
        moved = tmp_path / "moved"
        moved.mkdir()
        (moved / "inside").write_bytes(b"came with its folder")
        moved.rename(place.uploads / "c")
        until(lambda: {b"linked", deep, b"c/inside"} <= place.shipped(), "all three")
    assert place.restored()[deep] == b"deep"


def test_a_store_that_is_away_delays_and_loses_nothing(tmp_path: Path) -> None:
    store = FaultyStore(MemoryStore())
    place = Place(tmp_path, World(tmp_path, [store]))
    with place.watching():
        first = place.upload(b"first")
        until(lambda: first in place.shipped(), "first")
        store.fail(times=10_000, verbs=("put", "get", "list"))
        second = place.upload(b"second")
        until(lambda: any("trying again" in line for line in place.lines), "it is said")
        third = place.upload(b"third")
        store.heal()
        until(lambda: {second, third} <= place.shipped(), "second and third")
    assert set(place.restored().values()) == {b"first", b"second", b"third"}


def test_one_of_two_stores_that_is_away_is_completed_after_a_scan(tmp_path: Path) -> None:
    bad = FaultyStore(MemoryStore())
    place = Place(tmp_path, World(tmp_path, [MemoryStore(), bad]))
    with place.watching(scan_seconds=0.3):
        bad.fail(times=10_000, verbs=("put",))
        new = place.upload(b"new")
        until(lambda: new in place.shipped(), "in the good store")
        bad.heal()
        until(lambda: with_files(place.world.reader([bad])), "in both")
    reader = place.world.reader([bad])
    assert reader.shipped_content(with_files(reader)[0]) == b"new"


def test_an_overflow_of_the_kernels_queue_means_a_full_scan(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf(self: FolderEvents, seconds: float) -> Seen:
        """Events are lost; the kernel says so."""
        time.sleep(min(seconds, 0.05))
        list(self._kernel.read(timeout=0))
        seen = Seen()
        self._take(folder_events.Event(-1, folder_events.flags.Q_OVERFLOW, 0, ""), seen)
        return seen

    monkeypatch.setattr(FolderEvents, "read", deaf)
    with place.watching():
        names = {place.upload(bytes([number])) for number in range(20)}
        until(lambda: names <= place.shipped(), "all")
    assert len(place.restored()) == 20


def test_the_folder_may_vanish_and_come_back_and_nothing_is_taken_back(place: Place) -> None:
    with place.watching():
        first = place.upload(b"first")
        until(lambda: first in place.shipped(), "first")
        (place.uploads / first.decode()).unlink()
        place.uploads.rmdir()
        until(lambda: any("cannot be watched" in line for line in place.lines), "it is said")
        place.uploads.mkdir()
        second = place.upload(b"second")
        until(lambda: second in place.shipped(), "second")
    assert set(place.restored().values()) == {b"first", b"second"}


def test_a_file_in_parts(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coffer.sources.watching.uploads.PART_SIZE", 1000)
    monkeypatch.setattr("coffer.sources.watching.watcher.PART_SIZE", 1000)
    content = os.urandom(4500)
    with place.watching() as watcher:
        large = place.upload(content)
        until(lambda: watcher.shipped == 1, "large")
    shipments = with_files(place.world.reader())
    assert len(shipments) == 5
    assert place.restored() == {large: content}
    # Cut off in the middle of a file, a journal does not have it yet.
    for name in [each.name for each in shipments[3:]]:
        del place.world.memory.objects[name]
    place.world.back_up(FilesSource("files", place.out), kind=Kind.FULL, service="other")  # type: ignore[arg-type]
    assert len(with_files(place.world.reader())) == 3
    with place.watching() as watcher:
        until(lambda: watcher.shipped == 1, "it is shipped again")
    assert place.restored(folder="again") == {large: content}


def test_the_age_of_what_would_come_back_is_known(place: Place) -> None:
    reader = place.world.reader()
    assert files_known_until(reader, [], "files", "app") is None
    began = datetime.now(UTC)
    with place.watching(scan_seconds=0.1):
        place.upload(b"x")
        until(lambda: _age(place) and _age(place) > began, "a shipment vouches")  # type: ignore[operator]
        later = datetime.now(UTC)
        until(lambda: _age(place) > later, "it goes on to, though nothing is new")  # type: ignore[operator]
    assert files_known_until(reader, [], "files", "app", began) is None


def _age(place: Place) -> datetime | None:
    return files_known_until(place.world.reader(), [], "files", "app")


def test_a_person_brings_the_files_of_a_moment_back(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from coffer.commands.restore import restore

    place = Place(tmp_path, World(tmp_path, [FileStore(tmp_path / "store")]))
    place.upload(b"first")
    place.world.back_up(FilesSource("files", place.uploads))  # type: ignore[arg-type]
    with place.watching():
        second = place.upload(b"second")
        until(lambda: second in place.shipped(), "second")
        moment = datetime.now(UTC)
    words = [
        "latest",
        "--store",
        f"file://{tmp_path / 'store'}",
        "--identity",
        str(tmp_path / "id"),
        "--source",
        "files",
    ]
    answer = CliRunner().invoke(restore, [*words, "--to", str(place.out), "--time", moment.isoformat()])
    assert answer.exit_code == 0, answer.output
    assert set(read_tree(place.out).values()) == {b"first", b"second"}
    refused = CliRunner().invoke(restore, [*words, "--to", str(tmp_path / "no"), "--lsn", "0/1"])
    assert refused.exit_code
    assert not (tmp_path / "no").exists()
