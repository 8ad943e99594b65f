"""What docs/threat-model.md says is shown by a test is shown by one that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDERS = ("tests/unit/vault", "tests/unit/keys", "tests/integration", "tests/faults")


def test_every_test_that_it_names_exists() -> None:
    text = (ROOT / "docs/threat-model.md").read_text()
    current, named = "", 0
    for path, name in re.findall(r"`((?:[\w/]+/)?(?:test_\w+\.py)?)(?:::(\w+))?`", text):
        if not path and not name:
            continue
        current = path or current
        file = next(
            (each for each in (ROOT / current, *(ROOT / folder / current for folder in FOLDERS)) if each.is_file()),
            None,
        )
        assert file is not None, current
        assert not name or f"def {name}(" in file.read_text(), (current, name)
        named += 1
    assert named >= 20
