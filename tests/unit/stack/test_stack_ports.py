"""The file of ports, and what is said when one is taken."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from coffer.errors import StepFailed, UsageError
from coffer.stack import holders, ports
from coffer.stack.service import Service

FILE = Path(__file__).parents[3] / "deployments" / "local" / "ports.toml"


def numbers(loaded: ports.Ports) -> list[int]:
    singles = [loaded.prefect, loaded.registry, loaded.receiver, loaded.smtp]
    tables = [*loaded.postgres.values(), *loaded.edge_https.values(), *loaded.edge_http.values()]
    return [*singles, *tables, *(port for region in loaded.s3.values() for port in region.all())]


def test_stacks_that_the_file_promises_to_keep_apart_are_apart() -> None:
    stacks = [numbers(ports.load(FILE, offset)) for offset in (0, 10_000, 20_000)]
    everything = [port for stack in stacks for port in stack]
    assert len(set(everything)) == len(everything)
    assert max(everything) < 32_768, "from there on Linux hands out ports by itself"


def test_the_offset_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFER_PORT_OFFSET", "10000")
    assert ports.load(FILE).prefect == ports.load(FILE, 0).prefect + 10_000
    monkeypatch.setenv("COFFER_PORT_OFFSET", "ten")
    with pytest.raises(UsageError, match="COFFER_PORT_OFFSET is 'ten'"):
        ports.load(FILE)


def test_an_offset_beyond_the_last_port_is_refused() -> None:
    with pytest.raises(UsageError, match="is not a port"):
        ports.load(FILE, 60_000)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("registry = 5000", "registry = 4200"), "gives a port to two services"),
        (("registry = 5000", ""), "does not name every port"),
        (("filer-grpc = 8347", ""), "does not name every port"),
        (("registry = 5000", "registry = ["), "does not name every port"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    file = tmp_path / "ports.toml"
    file.write_text(FILE.read_text().replace(*change))
    with pytest.raises(UsageError, match=said):
        ports.load(file, 0)


def test_a_taken_port_names_port_service_and_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = Service("registry", ("true",), ready=lambda: None, address="", ports=(port,))
        with pytest.raises(StepFailed) as refusal:
            holders.refuse_taken([service])
    assert f"port {port} of registry is in use: by process {os.getpid()} " in str(refusal.value)
    assert holders.is_free(port)
    holders.refuse_taken([service])
