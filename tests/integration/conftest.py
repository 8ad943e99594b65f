"""What integration tests stand on: Debian's packages and a Docker Engine, brought here if the machine lacks them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from coffer.stack import packages
from coffer.stack.services.docker_engine import dockerd, not_answering
from tests.services.gcs import gcs
from tests.services.s3 import s3
from tests.services.throwaway import ThrowAway

__all__ = ["gcs", "s3"]  # one of each for the whole session


@pytest.fixture(scope="session", autouse=True)
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install what is missing, and run an engine of our own where none answers; it ends with the session."""
    engine_runs = not_answering() is None
    packages.ensure(print, without=frozenset({"dockerd", "iptables"}) if engine_runs else frozenset())
    folder = tmp_path_factory.mktemp("docker")
    with nullcontext() if engine_runs else ThrowAway(dockerd(folder), folder / "dockerd.log"):
        yield
