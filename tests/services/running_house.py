"""A whole stack of a test session's own, with this checkout's flows, and what a person does with it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from coffer.prefect_api import FlowRun, PrefectApi
from coffer.prefect_api.transport import Transport
from coffer.stack.holders import is_free
from coffer.stack.ports import load
from tests.services.house import CHECKOUT, make_house

COFFER = Path(sys.executable).parent / "coffer"
CREDITAI = CHECKOUT / "examples" / "creditai"
_PORTS = CHECKOUT / "deployments" / "local" / "ports.toml"


@dataclass
class RunningHouse:
    """One stack that runs."""

    folder: Path
    offset: int

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "COFFER_STATE": str(self.state),
            "COFFER_HOME": str(self.folder / "home"),
            "COFFER_ENVIRONMENTS": str(self.folder / "home" / "deployments" / "environments"),
            "COFFER_PORT_OFFSET": str(self.offset),
            "PREFECT_API_URL": f"http://127.0.0.1:{4200 + self.offset}/api",
            "AWS_SHARED_CREDENTIALS_FILE": str(self.state / "secrets" / "aws-credentials"),
            "COFFER_APPROVER_KEY": str(self.state / "approvers" / "ada"),
        }

    def coffer(
        self, *words: str, fails: int | tuple[int, ...] = 0, timeout: float = 400, **more: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.environment, **more}
        done = subprocess.run([COFFER, *words], env=environment, capture_output=True, text=True, timeout=timeout)
        expected = fails if isinstance(fails, tuple) else (fails,)
        assert done.returncode in expected, f"coffer {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    @property
    def document(self) -> dict[str, Any]:
        return json.loads((self.state / "stack.json").read_text())

    @property
    def production(self) -> dict[str, Any]:
        return self.document["environments"]["production"]

    @property
    def repository(self) -> str:
        return f"{self.document['registry']}/creditai"

    @property
    def api(self) -> PrefectApi:
        return PrefectApi(Transport(self.environment["PREFECT_API_URL"]))

    def engine(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.document["docker"])

    def build(self, version: str, fault: str = "none", line: str = "try") -> str:
        """Build CreditAI and return the local name; nothing is pushed. A push of the line `main` starts a release."""
        arguments = {"APP_VERSION": version, "FAULT": fault, "BASE_IMAGE": self.document["base_image"]}
        name = f"{self.repository}:{line}-{version}"
        self.engine().images.build(
            path=str(CREDITAI), tag=name, buildargs=arguments, network_mode="host", rm=True, forcerm=True
        )
        return name

    def push(self, name: str) -> str:
        """Push a built image by its tag and return `repository@sha256:…`."""
        engine = self.engine()
        for line in engine.images.push(name, stream=True, decode=True):
            assert "error" not in line, line
        return next(each for each in engine.images.get(name).attrs["RepoDigests"] if each.startswith(self.repository))

    def releases(self, image: str) -> list[FlowRun]:
        return self.api.runs(flow="release", parameters={"image": image}, limit=200)

    def approve(self, run: str) -> None:
        self.coffer("release", "approve", run, "--as", "ada", "--note", "seen the plan")

    def story(self, run: str) -> str:
        """Return a run's log, for a failed assertion."""
        body = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        lines = Transport(self.environment["PREFECT_API_URL"]).send("POST", "/logs/filter", body).json()
        return "\n".join(f"{line['timestamp'][11:19]} {line['message']}" for line in lines)


def _free_offset() -> int:
    for offset in random.sample(range(22_000, 30_000, 20), 100):
        ports = load(_PORTS, offset)
        tables = [ports.postgres, ports.edge_https, ports.edge_http]
        singles = [ports.prefect, ports.registry, ports.receiver, ports.smtp]
        each = [*singles, *(p for t in tables for p in t.values()), *(p for r in ports.s3.values() for p in r.all())]
        if all(is_free(port) for port in each):
            return offset
    pytest.fail("no free ports")


@pytest.fixture(scope="session")
def running_house() -> Iterator[RunningHouse]:
    # Not in pytest's own folder: PostgreSQL's account has to walk there, and sockets need short paths.
    folder = Path(tempfile.mkdtemp(prefix="coffer-e2e-"))
    folder.chmod(0o755)
    house = RunningHouse(folder, _free_offset())
    # How fast it is on a busy machine is for bench/ to say.
    changes = {
        'soak = "5 s"': 'soak = "8 s"',
        'p95 = "200 ms"': 'p95 = "5 s"',
        "requests-per-minute = 1000": "requests-per-minute = 100",
    }
    make_house(folder / "home", f"127.0.0.1:{5000 + house.offset}", changes)
    try:
        house.coffer("stack", "up")
        yield house
    finally:
        if house.state.exists():
            house.coffer("stack", "down", "--purge")
        shutil.rmtree(folder)
