"""Very many small files in a deep tree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.vault.content import Content, Texture
from bench.vault.workloads import Size

_LEAST, _MOST = 200, 16 << 10
_GROUP = 1000
_FAN = 9
_DEPTH = 4
_CHANGED = 0.01
_TEXTURES = (Texture.TEXT, Texture.TEXT, Texture.TEXT, Texture.HALF, Texture.NOISE)


@dataclass(frozen=True)
class Small:
    """Small files.

    Attributes:
        files: How many.
        seed: What everything is made from.
    """

    files: int = 200_000
    seed: int = 1
    name: str = "small"

    def describe(self) -> str:
        return (
            f"{self.files} files of 0.2 to 16 KiB (log-uniform) in {_FAN**_DEPTH} folders, {_DEPTH} deep; 60% text, "
            "20% half-random records, 20% noise. A change writes 1% of the files anew, at another size"
        )

    def make(self, folder: Path) -> None:
        for group in range(-(-self.files // _GROUP)):
            numbers = range(group * _GROUP, min((group + 1) * _GROUP, self.files))
            for number, data in zip(numbers, self._contents(len(numbers), group, 0), strict=True):
                path = folder / _place(number)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

    def change(self, folder: Path, generation: int) -> Size:
        random = np.random.default_rng([self.seed, generation, 1 << 20])
        chosen = random.choice(self.files, max(1, int(self.files * _CHANGED)), replace=False)
        contents = self._contents(len(chosen), 1 << 20, generation)
        for number, data in zip(chosen, contents, strict=True):
            (folder / _place(int(number))).write_bytes(data)
        return Size(len(chosen), sum(map(len, contents)))

    def _contents(self, count: int, group: int, generation: int) -> list[bytes]:
        """Return so many files' contents, cut out of one stream for each texture."""
        content = Content(self.seed, generation, group)
        sizes = np.exp(content.random.uniform(np.log(_LEAST), np.log(_MOST), count)).astype(int)
        made: list[bytes] = [b""] * count
        for turn, texture in enumerate(_TEXTURES):
            mine = range(turn, count, len(_TEXTURES))
            stream = memoryview(content.make(texture, int(sizes[turn :: len(_TEXTURES)].sum())))
            for index in mine:
                made[index] = bytes(stream[: sizes[index]])
                stream = stream[sizes[index] :]
        return made


def _place(number: int) -> Path:
    """Return a file's path: its folder from the number's digits, so that neighbours lie apart."""
    folders = [f"d{number // _FAN**level % _FAN}" for level in range(_DEPTH)]
    return Path(*folders) / f"{number:06}.dat"
