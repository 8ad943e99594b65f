"""Which paths a glob means."""

from __future__ import annotations

import pytest

from coffer.errors import UsageError
from coffer.vault.path_globs import PathGlobs

MEANT = [
    ("*.txt", b"a.txt", True),
    ("*.txt", b"deep/down/a.txt", True),
    ("*.txt", b"a.txt.gz", False),
    ("etc", b"etc/passwd", True),
    ("etc", b"usr/etc/x", True),
    ("/etc", b"usr/etc/x", False),
    ("/etc", b"etc/x/y", True),
    ("etc/", b"usr/etc/x", True),
    ("a/*", b"a/b", True),
    ("a/*", b"a/b/c", True),
    ("a/*", b"a", False),
    ("a/*/c", b"a/b/x/c", False),
    ("a/**/c", b"a/b/x/c", True),
    ("a/**/c", b"a/c", True),
    ("a/**", b"a/b/c", True),
    ("?", b"ab", False),
    ("?", b"a", True),
    ("[ab]c", b"bc", True),
    ("[!ab]c", b"bc", False),
    ("[!ab]c", b"xc", True),
    ("[^a]", b"^", True),
    ("a+b(c).{2}", b"a+b(c).{2}", True),
    ("new*", b"new\nline", True),
    ("[", b"[", True),
    ("\\d", b"7", False),
    ("[\\d]", b"7", False),
]


@pytest.mark.parametrize(("glob", "path", "meant"), MEANT)
def test_a_glob_means_what_it_says(glob: str, path: bytes, meant: bool) -> None:
    assert PathGlobs([glob.encode()])(path) is meant


def test_bytes_that_are_no_text_are_meant_too() -> None:
    assert PathGlobs([b"\xff*"])(b"a/\xff\xfe")


def test_what_meant_nothing_is_said() -> None:
    globs = PathGlobs([b"*.a", b"*.b"])
    assert globs(b"x.a")
    assert not globs(b"x.c")
    assert globs.unmet == ["*.b"]


@pytest.mark.parametrize("glob", [b"", b"/", b"//"])
def test_an_empty_glob_is_refused(glob: bytes) -> None:
    with pytest.raises(UsageError, match="glob"):
        PathGlobs([glob])
