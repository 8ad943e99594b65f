"""The tar reader against Python's own writer, with blocks cut anywhere."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.errors import IntegrityError
from coffer.sources.postgres.tar_stream import members, parse_header

NAMES = st.text("abcxyz_/.0123456789", min_size=1, max_size=60).map(lambda name: name.strip("/.") or "x")


def archive(files: dict[str, bytes], *, end: bool = True) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(content), 0o600, 1_700_000_000
            tar.addfile(info, io.BytesIO(content))
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        link = tarfile.TarInfo("pg_tblspc/16385")
        link.type, link.linkname = tarfile.SYMTYPE, "/somewhere/else"
        tar.addfile(link)
    content = out.getvalue()
    return content if end else content.rstrip(b"\0") + bytes(-len(content.rstrip(b"\0")) % 512)


def blocks(data: bytes, sizes: list[int]) -> list[bytes]:
    cut, at = [], 0
    for size in sizes * (len(data) // sum(sizes) + 1):
        cut.append(data[at : at + size])
        at += size
    return [block for block in cut if block]


@settings(max_examples=60, deadline=None)
@given(
    files=st.dictionaries(NAMES, st.binary(max_size=3000), max_size=6),
    sizes=st.lists(st.integers(1, 2000), min_size=1, max_size=5),
    end=st.booleans(),
)
def test_any_boundaries_give_the_same_tree(files: dict[str, bytes], sizes: list[int], end: bool) -> None:
    read, others = {}, {}
    for member, content in members(blocks(archive(files, end=end), sizes)):
        if member.type == "0":
            read[member.path.decode()] = b"".join(content)
            assert (member.mode, member.mtime) == (0o600, 1_700_000_000)
        else:
            others[member.path] = (member.type, member.target)
    assert read == files
    assert others == {b"folder": ("5", b""), b"pg_tblspc/16385": ("2", b"/somewhere/else")}


def test_content_that_nobody_reads_is_passed_over() -> None:
    data = archive({"one": b"1" * 5000, "two": b"2" * 10})
    assert [member.path for member, _ in members([data])] == [b"one", b"two", b"folder", b"pg_tblspc/16385"]


def test_content_comes_in_large_blocks() -> None:
    data = archive({"big": bytes(3_000_000)})
    for member, content in members(blocks(data, [32_768])):
        if member.path == b"big":
            assert all(len(block) >= 1_048_576 for block in list(content)[:-1])


def test_base_256_sizes_are_read() -> None:
    info = tarfile.TarInfo("huge")
    info.size = 10 * 1024**3
    header = info.tobuf(tarfile.GNU_FORMAT)
    assert parse_header(header[:512]).size == 10 * 1024**3


@pytest.mark.parametrize("at", [0, 100, 124, 148])
def test_a_flipped_bit_in_a_header_is_noticed(at: int) -> None:
    data = bytearray(archive({"one": b"1"}))
    data[at] ^= 0x01
    with pytest.raises(IntegrityError, match="header is damaged"):
        list(members([bytes(data)]))


def test_an_archive_cut_short_is_noticed() -> None:
    data = archive({"one": b"1" * 2000})
    with pytest.raises(IntegrityError, match="middle of a file"):
        [list(content) for _, content in members([data[:1000]])]
