"""A throw-away OCI registry, with a notification endpoint when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coffer.stack.services.registry import Notification, registry
from tests.services.throwaway import ThrowAway, free_ports


class Registry(ThrowAway):
    """`address` is what stands before the first slash of an image's name."""

    def __init__(self, directory: Path, *, notify: str | None = None, secret: str = "test-secret") -> None:
        [port] = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        notification = Notification(notify, secret) if notify else None
        super().__init__(
            registry("registry", directory / "registry", port, notification=notification), directory / "registry.log"
        )


@pytest.fixture(scope="session")
def registry_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server
