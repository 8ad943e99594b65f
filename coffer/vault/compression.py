"""How a chunk is compressed: zstd unless someone asks for gzip by name; what does not shrink is stored as it is."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import zstandard

from coffer.errors import UsageError

_SAMPLE = 4096
_WORTH_IT = 0.97
_GZIP_WINDOW = 31  # zlib's way to ask for gzip's frame
_local = threading.local()


class Encoding(IntEnum):
    """What a chunk's bytes are before they are sealed."""

    STORED = 0
    ZSTD = 1
    GZIP = 2


_LEVELS = {Encoding.STORED: range(1), Encoding.ZSTD: range(1, 20), Encoding.GZIP: range(1, 10)}


@dataclass(frozen=True)
class Compression:
    """What a writer does to its chunks.

    Attributes:
        encoding: What it tries.
        level: How hard. By measurement zstd's level 1 gave, on database pages, the ratio of level 3 at 2.7 times its
            speed, and on a distribution's programs and libraries 2.53 against 2.68 at 2.2 times.
    """

    encoding: Encoding = Encoding.ZSTD
    level: int = 1

    def __post_init__(self) -> None:
        """Refuse a level that the algorithm does not have."""
        if self.level not in _LEVELS[self.encoding]:
            levels = _LEVELS[self.encoding]
            raise UsageError(
                "There is no such compression level",
                detail=f"{self.encoding.name.lower()} has {levels.start} to {levels.stop - 1}, not {self.level}",
            )

    @classmethod
    def parse(cls, name: str, level: int | None = None) -> Compression:
        """Return what `zstd`, `gzip` or `none` mean.

        Raises:
            UsageError: There is no such algorithm or level.
        """
        known = {"zstd": (Encoding.ZSTD, 1), "gzip": (Encoding.GZIP, 6), "none": (Encoding.STORED, 0)}
        if name not in known:
            raise UsageError("There is no such compression", detail=name, resolution="Use zstd, gzip or none")
        encoding, usual = known[name]
        return cls(encoding, usual if level is None else level)

    def compress(self, data: bytes) -> tuple[Encoding, bytes]:
        """Compress a chunk, or leave it when a sample or the result shows that it is not worth it."""
        if self.encoding is Encoding.STORED or (len(data) > 16 * _SAMPLE and _looks_random(data)):
            return Encoding.STORED, data
        packed = self._compressor()(data)
        return (self.encoding, packed) if len(packed) < len(data) * _WORTH_IT else (Encoding.STORED, data)

    def _compressor(self) -> Callable[[bytes], bytes]:
        if self.encoding is Encoding.GZIP:
            return self._gzip
        return _zstd(self.level)

    def _gzip(self, data: bytes) -> bytes:
        gzip = zlib.compressobj(self.level, zlib.DEFLATED, _GZIP_WINDOW)
        return gzip.compress(data) + gzip.flush()


DEFAULT = Compression()


def decompress(encoding: int, data: bytes, size: int) -> bytes:
    """Return a chunk's content.

    Raises:
        ValueError: It is not of that encoding and size.
    """
    if encoding == Encoding.STORED:
        content = data
    elif encoding == Encoding.ZSTD:
        content = _unzstd(data, size)
    elif encoding == Encoding.GZIP:
        content = _gunzip(data, size)
    else:
        raise ValueError(f"unknown encoding {encoding}")
    if len(content) != size:
        raise ValueError("a chunk has another size than its index says")
    return content


def _unzstd(data: bytes, size: int) -> bytes:
    decompressor: zstandard.ZstdDecompressor | None = getattr(_local, "decompressor", None)
    if decompressor is None:
        decompressor = _local.decompressor = zstandard.ZstdDecompressor()
    try:
        if zstandard.frame_content_size(data) != size:
            raise ValueError("a chunk has another size than its index says")
        return decompressor.decompress(data, max_output_size=size)
    except zstandard.ZstdError as error:
        raise ValueError("a chunk does not decompress") from error


def _gunzip(data: bytes, size: int) -> bytes:
    gzip = zlib.decompressobj(_GZIP_WINDOW)
    try:
        content = gzip.decompress(data, size + 1)
    except zlib.error as error:
        raise ValueError("a chunk does not decompress") from error
    if not gzip.eof or gzip.unused_data:
        raise ValueError("a chunk has another size than its index says")
    return content


def _looks_random(data: bytes) -> bool:
    step = len(data) // 4
    sample = b"".join(data[start : start + _SAMPLE] for start in range(0, 4 * step, step))
    return len(_zstd(1)(sample)) > len(sample) * _WORTH_IT


def _zstd(level: int) -> Callable[[bytes], bytes]:
    compressors: dict[int, zstandard.ZstdCompressor] = _local.__dict__.setdefault("compressors", {})
    if level not in compressors:
        compressors[level] = zstandard.ZstdCompressor(level=level)
    return compressors[level].compress
