from __future__ import annotations

import gzip
import os

import pytest

from coffer.errors import UsageError
from coffer.vault.compression import Compression, Encoding, decompress

TEXT = b"the same line again and again\n" * 10_000


@pytest.mark.parametrize("name", ["zstd", "gzip", "none"])
@pytest.mark.parametrize("content", [TEXT, b"", b"x", os.urandom(200_000)], ids=["text", "empty", "one", "noise"])
def test_what_is_compressed_comes_back(name: str, content: bytes) -> None:
    encoding, packed = Compression.parse(name).compress(content)
    assert decompress(encoding, packed, len(content)) == content
    assert len(packed) <= len(content)
    if content is not TEXT:
        assert encoding is Encoding.STORED


def test_gzip_is_what_gzip_reads() -> None:
    encoding, packed = Compression.parse("gzip", 9).compress(TEXT)
    assert encoding is Encoding.GZIP
    assert gzip.decompress(packed) == TEXT


@pytest.mark.parametrize("encoding", [Encoding.ZSTD, Encoding.GZIP])
def test_another_size_or_other_bytes_are_refused(encoding: Encoding) -> None:
    _, packed = Compression(encoding, 1).compress(TEXT)
    for size in (len(TEXT) - 1, len(TEXT) + 1, 0):
        with pytest.raises(ValueError, match="another size"):
            decompress(encoding, packed, size)
    with pytest.raises(ValueError, match="chunk"):
        decompress(encoding, packed[:-9], len(TEXT))
    with pytest.raises(ValueError, match="chunk"):
        decompress(encoding, b"nothing of the kind", 5)
    with pytest.raises(ValueError, match="unknown encoding 9"):
        decompress(9, packed, 5)


@pytest.mark.parametrize(("name", "level"), [("zstd", 0), ("zstd", 20), ("gzip", 10), ("none", 1), ("lzma", 1)])
def test_what_there_is_not_is_said(name: str, level: int) -> None:
    with pytest.raises(UsageError, match="no such compression"):
        Compression.parse(name, level)
