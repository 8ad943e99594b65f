from __future__ import annotations

from pathlib import Path

import pytest

from coffer.errors import EnvironmentFileError, UsageError
from tasks import requests

IMAGE = "registry.example/shop@sha256:" + "a" * 64
FILE = """
[service]
name = "shop"
image = "registry.example/shop"
port = 80
[target]
kind = "docker-host"
hosts = ["env:HOST"]
[release]
on-push = ["main-*"]
"""


@pytest.fixture(autouse=True)
def _environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trial.toml").write_text(FILE)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "Dockerfile").write_text("FROM scratch\n")
    monkeypatch.setenv("COFFER_ENVIRONMENTS", str(tmp_path))


def read(**change: object) -> requests.ReleaseRequest:
    arguments = {"environment": "trial", "image": IMAGE, "source": None, "tag": "", "requester": "ann", "attempt": 1}
    return requests.read(**{**arguments, **change})  # type: ignore[arg-type]


def test_an_image_by_digest_is_a_request() -> None:
    assert str(read().image) == IMAGE


def test_a_folder_with_a_dockerfile_is_a_request(tmp_path: Path) -> None:
    assert read(image=None, source=str(tmp_path / "source")).source == tmp_path / "source"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": "registry.example/shop:latest"}, "does not name an image by digest"),
        ({"image": "registry.example/other@sha256:" + "a" * 64}, "is not the image of shop"),
        ({"image": None}, "an image or a source"),
        ({"source": "."}, "an image or a source"),
        ({"image": None, "source": "/nowhere"}, "has no Dockerfile"),
        ({"attempt": 0}, "attempt begins at 1"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_touched(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(**change)


def test_an_unknown_environment_is_refused() -> None:
    with pytest.raises(EnvironmentFileError, match="prodution"):
        read(environment="prodution")


def test_the_id_derives_from_the_request_and_not_from_when() -> None:
    first, again, raised = read(), read(requester="bob"), read(attempt=2)
    assert first.image is not None
    assert first.release_id(first.image) == again.release_id(first.image)
    assert first.release_id(first.image) != raised.release_id(first.image)


@pytest.mark.parametrize(("tag", "starts"), [("main-7", True), ("feature-7", False), ("", True)])
def test_a_push_starts_only_what_the_environment_names(tag: str, starts: bool) -> None:
    assert (requests.starts_nothing(read(tag=tag)) == "") is starts
