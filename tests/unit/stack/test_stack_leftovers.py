"""Nothing of ours outlives the stack, and nothing of others is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from coffer.errors import NotThere, UsageError
from coffer.stack import down as taking_down
from coffer.stack import packages
from coffer.stack.layout import Layout
from coffer.stack.leftovers import end_processes, mounts_below, processes_of
from coffer.stack.networks import belongs, network_name
from coffer.stack.ports import load
from coffer.stack.supervisor import MARK

HOME = Path(__file__).parents[3]
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


@pytest.fixture
def stubborn(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with our mark that does not hear SIGTERM."""
    environment = {**os.environ, MARK: str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", DEAF], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def test_a_marked_process_is_found_and_ended(
    stubborn: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coffer.stack.leftovers._PATIENCE", 0.3)
    assert processes_of(str(tmp_path)) == [stubborn.pid]
    assert processes_of(str(tmp_path / "of-another-stack")) == []
    assert end_processes(str(tmp_path)) == [stubborn.pid]
    assert stubborn.wait(5) == -9
    assert end_processes(str(tmp_path)) == []


def test_mounts_are_found_below_a_folder_only() -> None:
    assert Path("/proc") in mounts_below(Path("/"))
    assert mounts_below(Path("/proc/self/fd")) == []


def container(*networks: str, labels: dict[str, str] | None = None, mounts: tuple[str, ...] = ()) -> SimpleNamespace:
    attributes = {
        "NetworkSettings": {"Networks": {name: {} for name in networks}},
        "Mounts": [{"Type": "bind", "Source": source} for source in mounts],
    }
    return SimpleNamespace(labels=labels or {}, attrs=attributes)


MANAGED = {"coffer.managed": "true"}


@pytest.mark.parametrize(
    ("one", "main", "second"),
    [
        (container("coffer-production"), True, False),
        (container("coffer-production-10000", labels=MANAGED), False, True),
        (container("bridge", labels=MANAGED), True, False),
        (container("bridge", labels=MANAGED, mounts=("/state-2/production/uploads",)), False, True),
        (container("bridge", labels=MANAGED, mounts=("/state-1/production/uploads",)), True, False),
        (container("somebody-elses", labels=MANAGED), False, False),
        (container("bridge", mounts=("/state-1/production/uploads",)), False, False),
        (container("bridge"), False, False),
        (container("none", labels={"coffer.stack": "/state-2"}), False, True),
    ],
)
def test_each_stack_knows_its_own_containers(one: SimpleNamespace, main: bool, second: bool) -> None:
    def networks(offset: int) -> set[str]:
        return {network_name(environment, offset) for environment in ("production", "staging")}

    assert belongs(one, networks(0), Path("/state-1"), alone=True) is main
    assert belongs(one, networks(10_000), Path("/state-2"), alone=False) is second


def test_a_folder_that_we_did_not_make_is_not_purged(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    ports = load(HOME / "deployments/local/ports.toml", 0)
    with pytest.raises(UsageError, match="was not made by a stack"):
        taking_down.down(Layout(tmp_path, HOME), ports, purge=True, report=lambda line: None)
    assert precious.read_text() == "keep me"


def test_missing_packages_are_named_where_nobody_may_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "PROGRAMS", {"no-such-program": "no-such-package", "sh": "dash"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said: list[str] = []
    with pytest.raises(NotThere, match=r"lacks no-such-package: .*sudo apt-get install .* no-such-package$"):
        packages.ensure(said.append)
    assert said == []
    packages.ensure(said.append, without=frozenset({"no-such-program"}))


def test_debian_starts_nothing_while_we_install_and_all_is_as_before_afterwards(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with pytest.raises(subprocess.CalledProcessError, match="101"), packages.services_stay_off(policy):
        subprocess.run([policy], check=True)
    assert not policy.exists()
    policy.write_text("#!/bin/sh\nexit 0\n")
    with packages.services_stay_off(policy):
        assert "exit 101" in policy.read_text()
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"
    assert list(tmp_path.iterdir()) == [policy]
