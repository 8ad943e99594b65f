from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.errors import UsageError
from coffer.sources.postgres import page_checks
from coffer.sources.postgres.bad_pages import BadPage, facts_of, from_warnings, known_bad
from coffer.sources.postgres.capture_choice import Capture, split_capture
from coffer.sources.postgres.folder_reader import FolderReader
from coffer.sources.postgres.page_reader import PageReader, numbers
from coffer.sources.postgres.relation_files import parse

PAGE = 8192
PATH = b"base/5/1259"
START = 0x5000000


def slow_checksum(page: bytes, block: int) -> int:
    """The algorithm as PostgreSQL's checksum_impl.h tells it, a word at a time."""
    words = [int.from_bytes(page[at : at + 4], "little") for at in range(0, PAGE, 4)]
    words[2] &= 0xFFFF0000
    sums = [int(each) for each in page_checks._OFFSETS]
    for row in range(66):
        for lane in range(32):
            value = (sums[lane] ^ (words[row * 32 + lane] if row < 64 else 0)) & 0xFFFFFFFF
            sums[lane] = ((value * 16777619) & 0xFFFFFFFF) ^ (value >> 17)
    folded = 0
    for each in sums:
        folded ^= each
    return (folded ^ block) % 65535 + 1


def page(seed: int, block: int, lsn: int = START - 100) -> bytes:
    data = bytearray(random.Random(seed).randbytes(PAGE))
    data[0:8] = (lsn >> 32).to_bytes(4, "little") + (lsn & 0xFFFFFFFF).to_bytes(4, "little")
    data[8:10] = slow_checksum(bytes(data), block).to_bytes(2, "little")
    return bytes(data)


@given(st.integers(0, 1000), st.integers(0, 2**32 - 2))
def test_the_checksum_is_postgresqls(seed: int, block: int) -> None:
    content = page(seed, block)
    assert page_checks.checksums(content, np.array([block], np.uint32)).tolist() == [slow_checksum(content, block)]
    assert page_checks.lsns(content).tolist() == [START - 100]


def test_without_the_compiled_half_the_sums_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    content, blocks = page(1, 1) + page(2, 2) + bytes(PAGE), np.arange(3, dtype=np.uint32)
    as_built = page_checks.checksums(content, blocks).tolist()
    monkeypatch.setattr(page_checks, "_COMPILED", None)
    assert page_checks.checksums(content, blocks).tolist() == as_built


def test_wrong_pages_are_found_and_new_ones_are_not() -> None:
    torn_new = bytes(14) + bytes(2) + b"x" + bytes(PAGE - 17)
    harmed = bytearray(page(1, 1))
    harmed[5000] ^= 1
    data = page(0, 0) + bytes(harmed) + bytes(PAGE) + torn_new + page(4, 5)
    assert page_checks.wrong_pages(data, np.arange(5, dtype=np.uint32)).tolist() == [1, 3, 4]


class TestReading:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / PATH.decode()
        path.parent.mkdir(parents=True)
        return path

    def reader(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PageReader:
        monkeypatch.setattr("coffer.sources.postgres.page_reader._PATIENCE", 0.02)
        return PageReader(FolderReader(bytes(tmp_path)), START, checks=True)

    def test_a_page_that_stays_wrong_is_named(
        self, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.write_bytes(page(0, 0) + page(1, 7) + page(2, 2))
        reader = self.reader(tmp_path, monkeypatch)
        assert reader.read(PATH, parse(PATH), 0, 3 * PAGE) == file.read_bytes()
        assert reader.bad(START + 10) == [BadPage(PATH, 1, START - 100)]

    def test_a_page_that_was_being_written_is_read_again(
        self, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        good = page(0, 0) + page(1, 1)
        file.write_bytes(good)
        reader = self.reader(tmp_path, monkeypatch)
        torn = good[:PAGE] + good[PAGE : PAGE + 4096] + bytes(4096)
        assert reader.checked(PATH, parse(PATH), torn, numbers(0, 2 * PAGE)) == good  # type: ignore[arg-type]
        assert reader.bad(START + 10) == []

    @pytest.mark.parametrize(("lsn", "bad"), [(START + 5, False), (START + 50, True)])
    def test_a_newer_page_is_written_again_by_replay_unless_it_is_newer_than_the_log(
        self, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, lsn: int, bad: bool
    ) -> None:
        file.write_bytes(page(0, 3, lsn))
        reader = self.reader(tmp_path, monkeypatch)
        reader.read(PATH, parse(PATH), 0, PAGE)
        assert bool(reader.bad(START + 10)) is bad

    def test_what_was_cut_or_dropped_is_zeros(
        self, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.write_bytes(page(0, 0))
        reader = self.reader(tmp_path, monkeypatch)
        assert reader.read(PATH, parse(PATH), 0, 3 * PAGE) == file.read_bytes() + bytes(2 * PAGE)
        assert bytes(reader.files.window(PATH, 0, 2 * PAGE)) == file.read_bytes() + bytes(PAGE)
        file.unlink()
        assert reader.read(PATH, parse(PATH), 0, PAGE) == bytes(PAGE)
        assert reader.files.whole(PATH, PAGE) is None
        assert reader.bad(START) == []


def test_bad_pages_are_remembered() -> None:
    pages = [BadPage(PATH + b".1", 3), BadPage(PATH, 7)]
    facts = facts_of(pages, {PATH: "app: public.t (base/5/1259)"})
    assert facts["damage"] == "base/5/1259.1 block 131075, app: public.t (base/5/1259) block 7"
    assert {path: found.tolist() for path, found in known_bad(facts).items()} == {PATH + b".1": [3], PATH: [7]}
    assert facts_of([], {}) == {}
    assert "did not name" in str(facts_of([], {}, uncounted=True)["damage"])


def test_warnings_name_pages() -> None:
    lines = ['checksum verification failed in file "./base/5/16384", block 7: calculated 1A but expected 2B', "hello"]
    assert from_warnings(lines) == [BadPage(b"base/5/16384", 7)]


@pytest.mark.parametrize(
    ("conninfo", "left", "word"),
    [
        ("host=a capture=direct port=5", "host=a port=5", "direct"),
        ("capture=stream host=a", "host=a", "stream"),
        ("host=a capture=auto", "host=a", "auto"),
        ("postgresql://h/d?capture=direct&host=x", "postgresql://h/d?host=x", "direct"),
        ("postgresql://h/d?host=x&capture=direct", "postgresql://h/d?host=x", "direct"),
        ("postgresql://h/d?host=x&capture=direct&user=y", "postgresql://h/d?host=x&user=y", "direct"),
        ("postgresql://h/d?capture=stream", "postgresql://h/d", "stream"),
        ("host=capture user=x", "host=capture user=x", ""),
    ],
)
def test_how_to_capture_is_said_beside_libpqs_own_options(conninfo: str, left: str, word: str) -> None:
    assert split_capture(conninfo) == (left, word)


def test_an_unknown_capture_is_refused() -> None:
    with pytest.raises(UsageError, match="no such capture"):
        Capture.parse("sideways")
