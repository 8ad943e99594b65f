"""What every test may count on: no word of the developer's own shell reaches it."""

from __future__ import annotations

from pathlib import Path

import pytest

_LEAKS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "COFFER_ENVIRONMENTS",
    "COFFER_STATE",
    "COFFER_PORT_OFFSET",
    "PREFECT_API_URL",
    "PREFECT_API_AUTH_STRING",
    "PGHOST",
    "PGPASSWORD",
)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _LEAKS:
        monkeypatch.delenv(name, raising=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark a test by the folder it lives in, so that nobody forgets."""
    for item in items:
        tier = Path(item.fspath).relative_to(Path(__file__).parent).parts[0]
        if tier in ("integration", "browser"):
            item.add_marker(tier)
        elif tier == "proof":
            item.add_marker("integration")
