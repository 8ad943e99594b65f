from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from coffer import environments
from coffer.environments.durations import parse_duration
from coffer.errors import EnvironmentFileError

MINIMAL = """
[service]
name = "shop"
image = "registry.example/shop"
port = 80
[target]
kind = "docker-host"
hosts = ["env:HOST"]
"""


def write(folder: Path, text: str) -> str:
    path = folder / "trial.toml"
    path.write_text(text)
    return str(path)


def test_a_small_file_is_whole(tmp_path: Path) -> None:
    environment = environments.load(write(tmp_path, MINIMAL))
    assert environment.name == "trial"
    assert environment.service.stop_within == timedelta(seconds=10)
    assert environment.recovery is None


@pytest.mark.parametrize("name", ["staging", "production"])
def test_the_shipped_files_are_whole(name: str) -> None:
    assert environments.load(name).service.name == "creditai"


def test_an_unknown_environment_names_the_known_ones() -> None:
    with pytest.raises(EnvironmentFileError) as caught:
        environments.load("prodution")
    assert "production" in caught.value.detail
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (('port = 80', 'port = 80\nprot = 81'), "service.prot: unknown key"),
        (('port = 80', 'port = "many"'), "service.port:"),
        (('name = "shop"', 'name = "Shop of mine"'), "service.name:"),
        (('hosts = ["env:HOST"]', 'hosts = ["10.0.0.1"]'), "target.hosts.0: '10.0.0.1' is not a reference"),
        (('hosts = ["env:HOST"]', 'hosts = ["env:HOST"]\ndrain = "long"'), "target.drain: 'long' is not a duration"),
        (('kind = "docker-host"', ''), "target.kind: Field required"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_place(tmp_path: Path, change: tuple[str, str], place: str) -> None:
    with pytest.raises(EnvironmentFileError) as caught:
        environments.load(write(tmp_path, MINIMAL.replace(*change)))
    assert place in caught.value.detail
    assert "\n" not in str(caught.value)


def test_no_toml_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFileError, match="is not TOML"):
        environments.load(write(tmp_path, "[service"))


@pytest.mark.parametrize(
    ("text", "seconds"), [("200 ms", 0.2), ("10 s", 10), ("15min", 900), ("4 h", 14_400), ("1.5 days", 129_600)]
)
def test_durations_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == pytest.approx(seconds)
