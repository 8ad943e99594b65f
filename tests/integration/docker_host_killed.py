"""A release that is killed at a chosen moment: `python -m tests.integration.docker_host_killed FILE`."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from coffer.release.plan import ReleasePlan
from coffer.targets.docker_host import files
from coffer.targets.docker_host.host import DockerHost
from coffer.targets.docker_host.settings import DockerHostSettings
from coffer.targets.executor import execute
from coffer.targets.protocol import StepOutcome


def main() -> None:
    order = json.loads(Path(sys.argv[1]).read_text())
    plan = ReleasePlan.from_json(order["plan"])
    settings = {**order["settings"], "directory": Path(order["settings"]["directory"])}
    settings["haproxy_socket"] = Path(settings["haproxy_socket"])
    host = DockerHost(DockerHostSettings(**settings), {"env:PASSWORD": "tellnobody"}.__getitem__)
    if order["moment"] == "between memory and disk":
        _die_before_the_map_is_written()

    def checkpoint(index: int, outcome: StepOutcome) -> None:
        if type(plan.steps[index]).__name__ == order["moment"]:
            os.kill(os.getpid(), signal.SIGKILL)

    execute(plan, host, host.acquire(plan.release, plan.within), checkpoint)


def _die_before_the_map_is_written() -> None:
    really = files.replace

    def replace(path: Path, text: str, mode: int = 0o644) -> None:
        if path.name == "active.map":
            os.kill(os.getpid(), signal.SIGKILL)
        really(path, text, mode)

    files.replace = replace


if __name__ == "__main__":
    main()
