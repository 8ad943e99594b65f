"""Debian's own words: packages in a control file, and which of two versions is newer (deb-version(7))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

_PARTS = re.compile(r"(\D*)(\d*)")


@dataclass(frozen=True)
class Package:
    """A package as a status file or an index names it.

    Attributes:
        name: Binary package.
        version: Its version.
        architecture: `amd64`, `all`, …
        source: Source package.
    """

    name: str
    version: str
    architecture: str
    source: str


def read_packages(text: str) -> Iterator[Package]:
    """Yield the packages of a `Packages` index, or the installed ones of a `status` file."""
    for paragraph in re.split(r"\n\s*\n", text):
        fields = dict(_fields(paragraph))
        state = fields.get("Status", "install ok installed")
        if "Package" in fields and "Version" in fields and state.split()[-1:] == ["installed"]:
            name = fields["Package"]
            source = fields.get("Source", name).partition(" ")[0]
            yield Package(name, fields["Version"], fields.get("Architecture", ""), source)


def _fields(paragraph: str) -> Iterator[tuple[str, str]]:
    for line in paragraph.splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.startswith((" ", "\t")):
            yield name, value.strip()


def is_newer(version: str, than: str) -> bool:
    """Tell whether one version is later than another, by dpkg's rules."""
    return compare(version, than) > 0


def compare(left: str, right: str) -> int:
    """Return -1, 0 or 1 as dpkg orders two versions."""
    a, b = _split(left), _split(right)
    if a[0] != b[0]:
        return -1 if a[0] < b[0] else 1
    return _compare_part(a[1], b[1]) or _compare_part(a[2], b[2])


def _split(version: str) -> tuple[int, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return (int(epoch), upstream, revision) if dash else (int(epoch), rest, "")


def _compare_part(left: str, right: str) -> int:
    for (text_a, digits_a), (text_b, digits_b) in zip_longest(
        _PARTS.findall(left), _PARTS.findall(right), fillvalue=("", "")
    ):
        for a, b in zip_longest(map(_order, text_a), map(_order, text_b), fillvalue=0):
            if a != b:
                return -1 if a < b else 1
        a, b = int(digits_a or "0"), int(digits_b or "0")
        if a != b:
            return -1 if a < b else 1
    return 0


def _order(character: str) -> int:
    """A tilde sorts before the end of a part, letters before everything else."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
