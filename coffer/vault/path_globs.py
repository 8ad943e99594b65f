"""Globs over paths of any bytes: which part of a tree to restore."""

from __future__ import annotations

import re
from collections.abc import Sequence

from coffer.errors import UsageError

_TOKEN = re.compile(rb"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]|.", re.DOTALL)
_WILD = {b"**/": rb"(?:.*/)?", b"**": rb".*", b"*": rb"[^/]*", b"?": rb"[^/]"}


class PathGlobs:
    """Tells whether a path, or a folder above it, is meant by one of some globs.

    `*` and `?` stay inside one name, `**` crosses folders, `[a-z]` and `[!a-z]` are classes. A glob without `/`
    means a name at any depth; one with `/` begins at the top of the tree.

    Args:
        globs: The globs, as bytes.

    Raises:
        UsageError: One is empty.
    """

    def __init__(self, globs: Sequence[bytes]) -> None:
        self._patterns = [(glob, re.compile(_regex(glob), re.DOTALL)) for glob in globs]
        self._met: set[bytes] = set()

    def __call__(self, path: bytes) -> bool:
        """Tell whether a path is meant."""
        found = [glob for glob, pattern in self._patterns if pattern.fullmatch(path)]
        self._met.update(found)
        return bool(found)

    @property
    def unmet(self) -> list[str]:
        """Globs that meant nothing so far."""
        return [glob.decode(errors="backslashreplace") for glob, _ in self._patterns if glob not in self._met]


def _regex(glob: bytes) -> bytes:
    inner = glob.strip(b"/")
    if not inner:
        raise UsageError("A glob must name something", detail=repr(glob))
    anywhere = b"" if b"/" in glob.rstrip(b"/") else rb"(?:.*/)?"
    return anywhere + b"".join(map(_translate, _TOKEN.findall(inner))) + rb"(?:/.*)?"


def _translate(token: bytes) -> bytes:
    if token in _WILD:
        return _WILD[token]
    if len(token) > 1:
        inside = token[1:-1].replace(b"\\", b"\\\\").replace(b"[", b"\\[").replace(b"]", b"\\]")
        return b"[" + (b"^" + inside[1:] if inside.startswith(b"!") else inside.replace(b"^", b"\\^")) + b"]"
    return re.escape(token)
