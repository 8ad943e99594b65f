"""Chunks: cut, named, compressed; and the numbers by which a run speaks of them."""

from __future__ import annotations

import threading
from typing import Protocol

import zstandard

CHUNK_SIZE = 1 << 20
SMALL_FILE = 128 << 10
"""A file up to this size is bundled with others into one chunk."""
STORED = 0
ZSTD = 1
_LEVEL = 1
_SAMPLE = 4096
_WORTH_IT = 0.97
_local = threading.local()


def compress(data: bytes) -> tuple[int, bytes]:
    """Compress a chunk, or leave it when a sample or the result shows that it is not worth it.

    Returns:
        The encoding and the bytes.
    """
    compressor = getattr(_local, "compressor", None)
    if compressor is None:
        compressor = _local.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    if len(data) > 16 * _SAMPLE and _looks_random(compressor, data):
        return STORED, data
    packed: bytes = compressor.compress(data)
    return (ZSTD, packed) if len(packed) < len(data) * _WORTH_IT else (STORED, data)


def decompress(encoding: int, data: bytes, size: int) -> bytes:
    """Return a chunk's content.

    Raises:
        ValueError: It is not of that encoding and size.
    """
    if encoding == STORED:
        content = data
    elif encoding == ZSTD:
        decompressor = getattr(_local, "decompressor", None)
        if decompressor is None:
            decompressor = _local.decompressor = zstandard.ZstdDecompressor()
        try:
            if zstandard.frame_content_size(data) != size:
                raise ValueError("a chunk has another size than its index says")
            content = decompressor.decompress(data, max_output_size=size)
        except zstandard.ZstdError as error:
            raise ValueError("a chunk does not decompress") from error
    else:
        raise ValueError(f"unknown encoding {encoding}")
    if len(content) != size:
        raise ValueError("a chunk has another size than its index says")
    return content


def _looks_random(compressor: zstandard.ZstdCompressor, data: bytes) -> bool:
    step = len(data) // 4
    sample = b"".join(data[start : start + _SAMPLE] for start in range(0, 4 * step, step))
    return len(compressor.compress(sample)) > len(sample) * _WORTH_IT


class ChunkNumbering(Protocol):
    """Knows chunks by number."""

    def number(self, chunk_id: bytes) -> int:
        """Return the number of a chunk that is known by id."""
        ...


class ChunkNumbers:
    """Chunks of a run by number: files speak of a chunk before its id is known."""

    def __init__(self) -> None:
        self._ids: list[bytes | None] = []
        self._numbers: dict[bytes, int] = {}

    def reserve(self) -> int:
        """Return a number for a chunk whose id is being computed."""
        self._ids.append(None)
        return len(self._ids) - 1

    def settle(self, number: int, chunk_id: bytes) -> None:
        """Say which chunk a reserved number stands for."""
        self._ids[number] = chunk_id

    def number(self, chunk_id: bytes) -> int:
        """Return the number of a chunk that is known by id."""
        number = self._numbers.get(chunk_id)
        if number is None:
            number = self._numbers[chunk_id] = len(self._ids)
            self._ids.append(chunk_id)
        return number

    def id(self, number: int) -> bytes:
        """Return a chunk's id; all reserved numbers must be settled."""
        chunk_id = self._ids[number]
        assert chunk_id is not None, "a chunk was not finished"  # noqa: S101
        return chunk_id
