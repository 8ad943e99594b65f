"""File content made from a seed, fast: text as programs write it, records that are half random, and noise."""

from __future__ import annotations

import functools
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

_VOCABULARY = 4096
_WORD = 8
_ZIPF = 1.3
_FIELD = 64
# `#` becomes a random digit, a run of `+` a number that counts the lines, `@` the first letter of a word.
_TEMPLATES = (
    b'{"id":++++++++++,"time":"2026-05-17T09:00:00.000Z","user":"@.......","action":"@.......","amount":####.##,'
    b'"currency":"EUR","status":"completed","note":"@....... @....... @....... @......."}\n',
    b"++++++++++,2026-05-17,@.......,@.......,####.##,EUR,@.......,true,false,completed,@.......\n",
    b"2026-05-17 09:++:++.### INFO  [@.......] request ++++++++ from 10.0.12.## took ### ms: @....... @....... of "
    b"@....... handled by the service, connection kept\n",
)


class Texture(StrEnum):
    """What a file is like for a compressor; the ratios are those of zstd level 1 on a MiB."""

    TEXT = "text"
    """JSON lines, CSV and logs with words of a Zipf distribution and random numbers: about 6 to 1."""
    HALF = "half"
    """Records of 128 bytes, the first half random, the second half text: about 1.5 to 1."""
    NOISE = "noise"
    """Incompressible, like photographs, archives and encrypted files."""


class Content:
    """A stream of content; two of the same seed give the same bytes."""

    def __init__(self, *seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def make(self, texture: Texture, size: int) -> bytes:
        """Return so many bytes that no other call gave."""
        if texture is Texture.NOISE:
            return self.random.bytes(size)
        if texture is Texture.TEXT:
            return self._text(size)
        rows = -(-size // (2 * _FIELD))
        halves = np.empty((rows, 2, _FIELD), dtype=np.uint8)
        halves[:, 0] = np.frombuffer(self.random.bytes(rows * _FIELD), dtype=np.uint8).reshape(rows, _FIELD)
        halves[:, 1] = np.frombuffer(self._text(rows * _FIELD), dtype=np.uint8).reshape(rows, _FIELD)
        return halves.tobytes()[:size]

    def _text(self, size: int) -> bytes:
        template = np.frombuffer(_TEMPLATES[int(self.random.integers(len(_TEMPLATES)))], dtype=np.uint8)
        lines = np.tile(template, (-(-size // len(template)), 1))
        digits = np.flatnonzero(template == ord("#"))
        lines[:, digits] = self.random.integers(ord("0"), ord("9") + 1, (len(lines), len(digits)), dtype=np.uint8)
        self._count(lines, np.flatnonzero(template == ord("+")))
        for column in np.flatnonzero(template == ord("@")):
            lines[:, column : column + _WORD] = _words()[self._ranks(len(lines))]
        return lines.tobytes()[:size]

    def _count(self, lines: NDArray[np.uint8], columns: NDArray[np.intp]) -> None:
        numbers = int(self.random.integers(1 << 33)) + np.arange(len(lines))
        for place, column in enumerate(columns[::-1]):
            lines[:, column] = ord("0") + numbers // 10 ** min(place, 10) % 10

    def _ranks(self, count: int) -> NDArray[np.int64]:
        # The inverse of a continuous power law: near enough to Zipf's, and a hundred times faster than drawing it.
        uniform = 1 - self.random.random(count)
        return np.minimum(uniform ** (-1 / (_ZIPF - 1)) - 1, _VOCABULARY - 1).astype(np.int64)


@functools.cache
def _words() -> NDArray[np.uint8]:
    """Return the vocabulary: the same for every seed, as languages are."""
    letters = np.frombuffer(b"etaoinshrdlucmfwypvbgkqjxz", dtype=np.uint8)
    shares = np.arange(len(letters), 0, -1) ** 1.5
    return np.random.default_rng(1).choice(letters, (_VOCABULARY, _WORD), p=shares / shares.sum()).astype(np.uint8)
