"""A Prefect server with Coffer's pools, blocks, deployments and automations applied, for flows that stand in.

The flows have the names and parameters of the real ones and do what a test tells them by `version`: these tests are
about Prefect's edges, not about releases. One world serves all tests of a session: applying takes seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from coffer.prefect_api import PrefectApi
from tests.services.prefect_server import PrefectServer, end, start
from tests.services.registry import Registry
from tests.services.throwaway import free_ports

ROOT = Path(__file__).parents[2]
SECRET = "the registry and the receiver know it"
_HEAD = "from __future__ import annotations\n\nfrom typing import Literal\n\nfrom prefect import flow\n\n\n"
_FLOWS = {
    "release_service": """
import json, os
from pathlib import Path

from prefect.artifacts import Artifact
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from pydantic import Field

from coffer.errors import RefusedByPolicy


class Answer(RunInput):
    approver: str = Field(min_length=2)
    decision: Literal["approve", "reject"] = "reject"
    note: str = ""
    role: str = "release"
    signature: str = ""


@flow(name="release")
def release_service(environment: str, image: str | None = None, source: str | None = None,
                    build_arguments: dict[str, str] | None = None, tag: str = "", requester: str = "", attempt: int = 1,
                    version: str | None = None) -> str:
    if version == "refuse":
        raise RefusedByPolicy("the gate refuses", detail="because")
    left = Path(f"{flow_run.id}.left")
    if version == "crash" and not left.exists():
        left.write_text("I was here")
        os._exit(137)
    if version == "ask":
        asked = {"plan_hash": "ab" * 32, "environment": environment, "expires": "2999-01-01T00:00:00+00:00"}
        Artifact(type="coffer-plan", key=f"coffer-plan-{str(flow_run.id)[:12]}", data=asked).create()
        answer = suspend_flow_run(wait_for_input=Answer, timeout=600, key="approval")
        left.write_text(json.dumps(answer.model_dump()))
    return str(image)
""",
    **{
        path: f'@flow(name="{name}")\ndef {path}(environment: str, {more}) -> None: ...\n'
        for path, name, more in (
            ("roll_back_service", "rollback", 'reason: str, requester: str = ""'),
            ("back_up_service", "backup", 'kind: str = "auto"'),
            ("verify_vault", "vault-verify", "read_back: bool = True"),
            ("prune_vault", "vault-prune", "dry_run: bool = False"),
            ("drill_recovery", "drill", "seed: int | None = None"),
            ("recover_service", "recover", 'time: str = "latest"'),
            ("watch_promises", "watch", 'note: str = ""'),
            ("alert_people", "alert", 'event: str = "", detail: str = ""'),
        )
    },
}


class PrefectWorld:
    """`home` is the checkout it was applied from; `environment` is what programs need to speak to it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.server = PrefectServer(directory)
        [self.receiver_port] = free_ports(1)
        self.registry = Registry(directory, notify=f"http://127.0.0.1:{self.receiver_port}/registry", secret=SECRET)
        environments = str(self.home / "deployments/environments")
        self.environment = {**self.server.environment, "COFFER_ENVIRONMENTS": environments}

    @property
    def api(self) -> PrefectApi:
        return self.server.api

    @property
    def image(self) -> str:
        """Repository that production's file names."""
        return f"{self.registry.address}/creditai"

    def __enter__(self) -> Self:
        self._write_home()
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.server)
            stack.enter_context(self.registry)
            self.coffer("deployments", "write", "--home", str(self.home))
            self.apply()
            self._running = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._running.close()

    def apply(self) -> str:
        return self.coffer("deployments", "apply", "--home", str(self.home), "--stack", str(self.home / "stack.json"))

    def coffer(self, noun: str, *arguments: str, code: int = 0) -> str:
        """Run a command as a person would; return stdout and stderr."""
        done = self._run([str(Path(sys.executable).with_name("coffer")), noun, *arguments])
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run([sys.executable, *arguments])

    def _run(self, argv: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            env={**os.environ, **self.environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def worker(self, pool: str) -> subprocess.Popen[bytes]:
        """Start a worker; the caller ends it."""
        argv = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
        return start(argv, self.environment, self.directory / f"worker-{pool}.log")

    def _write_home(self) -> None:
        shutil.copytree(ROOT / "deployments/prefect", self.home / "deployments/prefect")
        shutil.copytree(ROOT / "deployments/environments", self.home / "deployments/environments")
        for path in (self.home / "deployments/environments").glob("*.toml"):
            path.write_text(path.read_text().replace("127.0.0.1:5000/creditai", self.image))
        (self.home / "flows").mkdir()
        for name, text in _FLOWS.items():
            (self.home / "flows" / f"{name}.py").write_text(_HEAD + text)
        (self.home / "aws").write_text(
            "".join(
                f"[{name}]\naws_access_key_id = {name}-id\naws_secret_access_key = {name}-%secret\n"
                for name in ("writer-a", "writer-b", "admin-a")
            )
        )
        (self.home / "stack.json").write_text(json.dumps(self._stack()))

    def _stack(self) -> dict[str, object]:
        here = str(self.home)
        environment = {
            name: f"{here}/{name}"
            for name in ("network", "directory", "haproxy_socket", "edge_url", "edge_ca", "uploads")
        } | {
            name: f"password=a-secret {name}"
            for name in ("database_url", "admin_conninfo", "backup_conninfo", "redis_url")
        }
        return {
            "registry": self.registry.address,
            "docker": "unix:///var/run/docker.sock",
            "aws_credentials_file": f"{here}/aws",
            "stores": [f"s3://coffer-{x}/creditai?region=eu-{x}&profile=writer-{x}" for x in "ab"],
            "vault": {"writer_file": f"{here}/writer", "identity_file": f"{here}/escrow/the-identity"},
            "mail": {"host": "127.0.0.1", "port": 2525},
            "environments": {"production": environment, "staging": environment},
        }


_WORLD = pytest.StashKey[PrefectWorld]()


@pytest.fixture(scope="session")
def prefect_world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PrefectWorld:
    # A session fixture imported by two test files would be two fixtures, and two servers; hence the stash.
    if _WORLD not in request.config.stash:
        world = PrefectWorld(tmp_path_factory.mktemp("prefect-world"))
        world.__enter__()
        request.config.add_cleanup(lambda: world.__exit__(None, None, None))
        request.config.stash[_WORLD] = world
    return request.config.stash[_WORLD]


@pytest.fixture(scope="session")
def prefect_worker(prefect_world: PrefectWorld) -> Iterator[PrefectWorld]:
    """The world, with a worker of the pool `coffer`."""
    process = prefect_world.worker("coffer")
    yield prefect_world
    end(process)
