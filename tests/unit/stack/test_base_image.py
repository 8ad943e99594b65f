from __future__ import annotations

from pathlib import Path

import pytest

from coffer.errors import OutsideSystemError
from coffer.stack import apt_sources, base_image

DEBIAN = """Types: deb deb-src
# a comment in between
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    (tmp_path / "apt/sources.list.d").mkdir(parents=True)
    return tmp_path / "apt"


def written(apt: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in apt_sources.write_for("bookworm", apt.parent, apt=apt)}


def test_suites_of_the_release_are_taken_over_and_no_others(apt: Path) -> None:
    (apt / "sources.list.d/debian.sources").write_text(DEBIAN)
    text = written(apt)["debian.sources"]
    assert "Suites: bookworm bookworm-updates\n" in text
    assert "Suites: bookworm-security\n" in text
    assert "backports" not in text
    assert "deb-src" not in text
    assert text.count("Types: deb\n") == 2


@pytest.mark.parametrize(
    "stanza",
    [
        "Types: deb\nURIs: http://vendor.example/linux\nSuites: bookworm\nComponents: stable\n",
        "Types: deb\nURIs: http://vendor.example/node\nSuites: nodistro\nComponents: main\n",
        DEBIAN.replace("Types: deb\n", "Enabled: no\nTypes: deb\n").replace("Types: deb deb-src", "Types: deb-src"),
    ],
    ids=["another component", "another suite", "switched off or sources only"],
)
def test_what_is_not_debians_own_is_left_out(apt: Path, stanza: str) -> None:
    (apt / "sources.list.d/vendor.sources").write_text(stanza)
    assert written(apt) == {}


def test_one_line_sources_are_read_too(apt: Path) -> None:
    wanted = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian bookworm main"
    others = ["# " + wanted, wanted.replace("deb ", "deb-src ", 1), "deb http://vendor.example/linux bookworm stable"]
    (apt / "sources.list").write_text("\n".join([wanted, *others]) + "\n")
    assert written(apt) == {"debian.list": wanted + "\n"}


def test_the_recipe_changes_with_the_authorities_a_machine_trusts(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"version": "9.8.1"}')
    authority = tmp_path / "own.crt"
    authority.write_text("one")
    first = base_image._recipe(tmp_path, [authority])
    assert first == base_image._recipe(tmp_path, [authority])
    authority.write_text("two")
    assert len({first, base_image._recipe(tmp_path, [authority]), base_image._recipe(tmp_path, [])}) == 3


def test_a_failed_making_leaves_no_archive_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no mmdebstrap here
    with pytest.raises(OutsideSystemError, match="mmdebstrap is not installed"):
        base_image._make(tmp_path / "cache/node.tar", tmp_path, [])
    assert list((tmp_path / "cache").iterdir()) == []
