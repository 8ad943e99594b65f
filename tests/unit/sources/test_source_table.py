"""What `[NAME=]KIND:PLACE` means, in which order a cut reads, and what must not stand on a command line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.environments.model import SOURCE_KINDS
from coffer.errors import CofferError, NotThere, UsageError
from coffer.recovery.source_table import SOURCES, parse_source, parse_sources


def test_environment_files_know_the_kinds_of_the_table() -> None:
    assert set(SOURCE_KINDS) == set(SOURCES)


def test_a_cut_reads_the_database_first_and_prefect_last(tmp_path: Path) -> None:
    (tmp_path / "configuration").mkdir()
    texts = [
        "prefect:/var/prefect.db",
        "environment:configuration",
        "redis:unix:///redis.sock",
        "uploads=files:up",
        "postgres:host=db",
    ]
    sources = parse_sources(texts, tmp_path)
    assert [each.name for each in sources] == ["postgres", "uploads", "redis", "environment", "prefect"]
    assert [each.kind for each in sources] == ["postgres", "files", "redis", "environment", "prefect"]


def test_passwords_come_by_reference_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("redis:redis://user:geheim@host", "postgres:host=db password=geheim"):
        with pytest.raises(UsageError, match="password") as raised:
            parse_source(text)
        assert "geheim" not in str(raised.value)
    with pytest.raises(UsageError, match="no source") as raised:
        parse_source("nothing:redis://user:geheim@host")
    assert "geheim" not in str(raised.value)
    monkeypatch.setenv("REDIS", "redis://user:geheim@host")
    assert parse_source("redis:env:REDIS").kind == "redis"


def test_a_folder_may_be_called_like_a_kind_of_reference(tmp_path: Path) -> None:
    for name in ("env", "file", "block"):
        (tmp_path / name).mkdir()
        assert parse_source(f"environment:{name}", tmp_path).name == "environment"


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="same name"):
        parse_sources(["files:a", "files:b"], tmp_path)
    with pytest.raises(UsageError, match="no namespace"):
        parse_source("kubernetes:context")
    with pytest.raises(NotThere):
        parse_source("manifests:absent", tmp_path)


@given(text=st.text(max_size=60))
def test_no_text_does_more_than_name_a_source_or_be_refused(text: str) -> None:
    with suppress(CofferError):
        assert parse_source(text).kind in SOURCES
