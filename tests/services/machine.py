"""What integration tests stand on: Debian's packages and a Docker Engine, brought here if the machine lacks them."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from coffer.stack import packages
from coffer.stack.services.docker_engine import dockerd, not_answering
from tests.services.throwaway import ThrowAway

_MACHINE = pytest.StashKey[ExitStack]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Install what is missing, and run an engine of our own where none answers.

    Once, in the process that leads a parallel run: two of them would fight over apt's lock and over the engine.
    """
    config = session.config
    if hasattr(config, "workerinput") or config.option.collectonly or _MACHINE in config.stash:
        return
    stack = config.stash[_MACHINE] = ExitStack()
    engine_runs = not_answering() is None
    packages.ensure(print, without=frozenset({"dockerd", "iptables"}) if engine_runs else frozenset())
    if not engine_runs:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="coffer-docker-", ignore_cleanup_errors=True))
        )
        stack.enter_context(ThrowAway(dockerd(folder), folder / "dockerd.log"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the engine, after every worker of a parallel run has ended."""
    if stack := config.stash.get(_MACHINE, None):
        stack.close()
