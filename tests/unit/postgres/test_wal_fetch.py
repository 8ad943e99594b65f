"""When PostgreSQL may be told that the log ends: only when that is proven."""

from __future__ import annotations

import struct
from collections.abc import Collection
from pathlib import Path

import pytest

from coffer.errors import CofferError, IntegrityError, NotThere, Unreachable, UnsafeTarget, UsageError
from coffer.sources.postgres.wal import Piece, Segment, history_name
from coffer.sources.postgres.wal_fetch import PastTheEnd, WalFetcher

SIZE = 1024 * 1024
SYSTEM = 7_000_000_000_000_000_001


def content(segment: Segment, system: int = SYSTEM) -> bytes:
    header = struct.pack("<HHIQI4xQII", 0xD118, 2, segment.timeline, segment.start, 0, system, SIZE, 8192)
    return header.ljust(SIZE, b"w")


class Archive:
    def __init__(self, *numbers: int, timeline: int = 1) -> None:
        self.files = {each.name: content(each) for each in (Segment(timeline, number, SIZE) for number in numbers)}
        self.silent: CofferError | None = None

    def get_wal(self, cluster: str, segment: str, /) -> bytes:
        if segment in self.files:
            return self.files[segment]
        raise self.silent or NotThere(segment)

    def wal_names(self, cluster: str, /, *, every_store: bool = False) -> Collection[str]:
        if self.silent and every_store:
            raise self.silent
        return list(self.files)


def name(number: int, timeline: int = 1) -> str:
    return Segment(timeline, number, SIZE).name


def fetcher(archive: Archive) -> WalFetcher:
    return WalFetcher(archive, "cluster", system=str(SYSTEM), segment_size=SIZE)


def test_what_is_there_comes_whole(tmp_path: Path) -> None:
    archive = Archive(4, 5)
    fetcher(archive).fetch(name(5), tmp_path / "RECOVERYXLOG")
    assert (tmp_path / "RECOVERYXLOG").read_bytes() == archive.files[name(5)]
    assert [path.name for path in tmp_path.iterdir()] == ["RECOVERYXLOG"]


def test_the_end_is_the_end() -> None:
    with pytest.raises(PastTheEnd):
        fetcher(Archive(4, 5)).read(name(6))


def test_a_hole_is_named_and_is_not_the_end() -> None:
    with pytest.raises(IntegrityError, match=name(5)) as caught:
        fetcher(Archive(4, 6)).read(name(5))
    assert name(6) in caught.value.detail


def test_a_piece_of_a_later_segment_makes_a_hole_too() -> None:
    archive = Archive(4)
    archive.files[Piece(name(6), 0, 100).name] = bytes(100)
    with pytest.raises(IntegrityError, match="missing"):
        fetcher(archive).read(name(5))


def test_a_silent_store_is_no_answer() -> None:
    archive = Archive(4)
    archive.silent = Unreachable("503")
    with pytest.raises(Unreachable):
        fetcher(archive).read(name(5))
    with pytest.raises(Unreachable):
        fetcher(archive).read("00000002.history")


def test_one_silent_store_of_two_is_no_answer_either() -> None:
    archive = Archive(4)

    class HalfSilent(Archive):
        def get_wal(self, cluster: str, segment: str, /) -> bytes:
            raise NotThere(segment)

        def wal_names(self, cluster: str, /, *, every_store: bool = False) -> Collection[str]:
            if every_store:
                raise Unreachable("one of two")
            return list(archive.files)

    with pytest.raises(Unreachable):
        fetcher(HalfSilent()).read(name(5))


def test_a_missing_history_file_needs_the_first_condition_only() -> None:
    with pytest.raises(PastTheEnd):
        fetcher(Archive(4, 5)).read("00000002.history")


def test_the_pieces_of_the_last_segment_are_joined_and_filled_with_zeros() -> None:
    archive = Archive(4)
    whole = content(Segment(1, 5, SIZE))
    archive.files[Piece(name(5), 0, 3000).name] = whole[:3000]
    archive.files[Piece(name(5), 3000, 5000).name] = whole[3000:5000]
    archive.files[Piece(name(5), 6000, 7000).name] = whole[6000:7000]
    assert fetcher(archive).read(name(5)) == whole[:5000].ljust(SIZE, b"\0")


def test_pieces_before_a_whole_later_segment_are_a_hole() -> None:
    archive = Archive(4, 6)
    archive.files[Piece(name(5), 0, 100).name] = bytes(100)
    with pytest.raises(IntegrityError, match="missing"):
        fetcher(archive).read(name(5))


def test_a_timeline_that_had_not_begun_has_no_such_segment() -> None:
    archive = Archive(3, 4, 5)
    archive.files |= Archive(5, 6, timeline=2).files
    archive.files[history_name(2)] = f"1\t0/{5 * SIZE + 100:X}\treason\n".encode()
    with pytest.raises(PastTheEnd):
        fetcher(archive).read(name(4, timeline=2))
    assert fetcher(archive).read(name(4))
    assert fetcher(archive).read(name(5, timeline=2))
    with pytest.raises(PastTheEnd):
        fetcher(archive).read(name(7, timeline=2))


def test_what_a_descendant_needs_of_its_ancestor_is_a_hole() -> None:
    archive = Archive(3)
    archive.files |= Archive(5, 6, timeline=2).files
    archive.files[history_name(2)] = f"1\t0/{5 * SIZE + 100:X}\treason\n".encode()
    with pytest.raises(IntegrityError, match=name(4)):
        fetcher(archive).read(name(4))


def test_the_end_of_an_old_timeline_is_its_end() -> None:
    archive = Archive(3, 4, 5, 6)
    archive.files |= Archive(5, timeline=2).files
    archive.files[history_name(2)] = f"1\t0/{5 * SIZE + 100:X}\treason\n".encode()
    with pytest.raises(PastTheEnd):
        fetcher(archive).read(name(7))


def test_wal_of_another_cluster_or_place_is_refused() -> None:
    archive = Archive(4)
    archive.files[name(5)] = content(Segment(1, 5, SIZE), system=5)
    archive.files[name(6)] = content(Segment(1, 9, SIZE))
    archive.files[name(7)] = content(Segment(1, 7, SIZE))[:-1]
    with pytest.raises(UnsafeTarget, match="another cluster"):
        fetcher(archive).read(name(5))
    with pytest.raises(IntegrityError, match="another piece"):
        fetcher(archive).read(name(6))
    with pytest.raises(IntegrityError, match="another size"):
        fetcher(archive).read(name(7))


@pytest.mark.parametrize("asked", ["../../etc/passwd", "", "00000001000000000000000G", name(5) + ".partial"])
def test_other_names_are_refused(asked: str) -> None:
    with pytest.raises(UsageError):
        fetcher(Archive(4)).read(asked)
