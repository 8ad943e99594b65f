"""Mixed files: a few large ones, a thousand of middle size, many small; text, half-random records and noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.vault.content import Content, Texture
from bench.vault.workloads import Size

_BLOCK = 4 << 20
_LARGE = 256 << 20
_CHANGED = 0.01
# Share of the bytes, and sizes from … to (log-uniform) of what is not large.
_SHARES = {"large": 0.25, "middle": 0.70, "small": 0.05}
_MIDDLE = (64 << 10, 16 << 20)
_SMALL = (1 << 10, 64 << 10)
_TEXTURES = {Texture.TEXT: 0.40, Texture.HALF: 0.25, Texture.NOISE: 0.35}
_PER_FOLDER = 60
# A file that is touched loses or gains a tenth of itself.
_DEPTH = 0.1


@dataclass(frozen=True)
class Mixed:
    """Mixed files.

    Attributes:
        bytes: About how many bytes.
        seed: What everything is made from.
    """

    bytes: int = 4 << 30
    seed: int = 1
    name: str = "mixed"

    def describe(self) -> str:
        textures = ", ".join(f"{share:.0%} {texture.value}" for texture, share in _TEXTURES.items())
        return (
            f"{self.bytes / (1 << 30):.3g} GiB: {_SHARES['large']:.0%} of the bytes in files of "
            f"{self._large() >> 20} MiB, {_SHARES['middle']:.0%} in files of 64 KiB to 16 MiB, {_SHARES['small']:.0%} "
            f"in files of 1 to 64 KiB (log-uniform); {textures} (about 6:1, 1.5:1 and 1:1 by zstd). A change touches a "
            "tenth of the bytes' files and changes a tenth of each: half of them by overwriting in place, half by "
            "inserting and writing the file anew"
        )

    def make(self, folder: Path) -> None:
        for number, size in enumerate(self._sizes()):
            content = Content(self.seed, number)
            texture = content.random.choice(list(_TEXTURES), p=list(_TEXTURES.values()))
            path = folder / f"part-{number // _PER_FOLDER:03}" / f"{number:05}.{texture}"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as stream:
                for start in range(0, size, _BLOCK):
                    stream.write(content.make(Texture(texture), min(_BLOCK, size - start)))

    def change(self, folder: Path, generation: int) -> Size:
        content = Content(self.seed, generation, 1 << 20)
        wanted, changed, files = self.bytes * _CHANGED, 0, 0
        for path in self._shuffled(folder, content):
            size = path.stat().st_size
            if changed + size * _DEPTH > wanted * 1.2:
                continue
            edit = _overwrite if files % 2 else _insert
            changed += edit(path, size, content)
            files += 1
            if changed >= wanted:
                break
        return Size(files, changed)

    def _sizes(self) -> Iterator[int]:
        random = np.random.default_rng([self.seed, 1 << 21])
        for _ in range(round(self.bytes * _SHARES["large"] / self._large())):
            yield self._large()
        for share, (least, most) in ((_SHARES["middle"], _MIDDLE), (_SHARES["small"], _SMALL)):
            left = int(self.bytes * share)
            while left > 0:
                size = min(left, int(np.exp(random.uniform(np.log(least), np.log(most)))))
                left -= size
                yield size

    def _large(self) -> int:
        return min(_LARGE, self.bytes // 16)

    @staticmethod
    def _shuffled(folder: Path, content: Content) -> list[Path]:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return [paths[int(index)] for index in content.random.permutation(len(paths))]


def _places(size: int, content: Content) -> list[tuple[int, int]]:
    """Return where a file is edited and how long: pieces of up to 256 KiB that make a tenth of it."""
    wanted = max(1, int(size * _DEPTH))
    pieces = -(-wanted // (256 << 10))
    starts = np.sort(content.random.integers(0, max(1, size - wanted // pieces), pieces))
    return [(int(start), wanted // pieces) for start in starts]


def _overwrite(path: Path, size: int, content: Content) -> int:
    with path.open("r+b") as stream:
        for start, length in (places := _places(size, content)):
            stream.seek(start)
            stream.write(content.make(_texture(path), length))
    return sum(length for _, length in places)


def _insert(path: Path, size: int, content: Content) -> int:
    fresh = path.with_name(path.name + ".new")
    with path.open("rb") as old, fresh.open("wb") as new:
        for start, length in (places := _places(size, content)):
            while (room := start - old.tell()) > 0:
                new.write(old.read(min(room, _BLOCK)))
            new.write(content.make(_texture(path), length))
        while block := old.read(_BLOCK):
            new.write(block)
    fresh.replace(path)
    return sum(length for _, length in places)


def _texture(path: Path) -> Texture:
    return Texture(path.suffix[1:])
