"""Each wall is broken on purpose once, and must be seen to fall."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[3]
ROOMS = ("coffer", "blocks", "tasks", "flows")

BREACHES = [
    ("flows → tasks → blocks → coffer", "tasks/breach.py", "import flows"),
    ("flows → tasks → blocks → coffer", "blocks/breach.py", "import tasks"),
    ("the engine knows no Prefect", "coffer/vault/breach.py", "import prefect"),
    ("inside coffer, higher rooms import lower ones", "coffer/vault/breach.py", "import coffer.recovery"),
    ("inside coffer, higher rooms import lower ones", "coffer/sources/breach.py", "import coffer.scanners"),
    ("coffer.release is pure", "coffer/release/breach.py", "import subprocess"),
]


def walls(house: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config", "pyproject.toml"],
        cwd=house,
        env={"PYTHONPATH": str(house), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    house = tmp_path_factory.mktemp("house")
    for room in ROOMS:
        shutil.copytree(HOUSE / room, house / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HOUSE / "pyproject.toml", house)
    return house


def test_the_walls_stand(copy: Path) -> None:
    result = walls(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("wall", "place", "line"), BREACHES)
def test_a_breach_is_seen(copy: Path, wall: str, place: str, line: str) -> None:
    breach = copy / place
    breach.write_text(f"{line}\n")
    try:
        result = walls(copy)
    finally:
        breach.unlink()
    assert result.returncode != 0
    assert f"{wall} BROKEN" in result.stdout
