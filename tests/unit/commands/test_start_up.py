"""A command starts with what it needs: libraries that take longer to import than it takes to do its work stay out."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("boto3", "google", "httpx", "numpy", "prefect", "psycopg", "pydantic")
NOUNS = "backup, drill, keygen, points, prune, replicate, restore, vault, verify, wal"
STARTS = {
    "every noun": f"from coffer.commands import main, {NOUNS}",
    "verifying at rest": "import coffer.vault.stores, coffer.vault.proving, coffer.vault.verification",
    "archiving a segment": "import coffer.keys, coffer.vault.runs, coffer.vault.wal",
    "asking the resident": "import coffer.commands.wal, coffer.commands.wal_resident",
}


@pytest.mark.parametrize("lines", STARTS.values(), ids=STARTS.keys())
def test_a_start_imports_nothing_heavy(lines: str) -> None:
    look = f"import sys\n{lines}\nprint(*sorted(set({HEAVY!r}).intersection(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.split() == []
