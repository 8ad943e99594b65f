"""Debian packages that the stack runs: found, or installed in one go without starting anything of Debian's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from coffer.errors import NotThere, OutsideSystemError
from coffer.processes import run
from coffer.stack import files

# Program → the package that brings it.
PROGRAMS = {
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "redis-server": "redis-server",
    "haproxy": "haproxy",
    "nginx": "nginx-light",
    "mmdebstrap": "mmdebstrap",
    "iptables": "iptables",
}
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_POLICY = Path("/usr/sbin/policy-rc.d")
_INSTALL_SECONDS = 900


def missing(programs: dict[str, str] | None = None) -> list[str]:
    """Return the packages whose programs are not there."""
    # An ordinary account's PATH lacks the folders of system programs.
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS))
    wanted = PROGRAMS if programs is None else programs
    return [package for program, package in wanted.items() if not shutil.which(program, path=path)]


def ensure(report: Callable[[str], None], *, without: frozenset[str] = frozenset()) -> None:
    """Install what is missing.

    Args:
        report: Told in a line what takes time.
        without: Programs that are not needed this time.

    Raises:
        NotThere: Something is missing and only root could install it, or this is no Debian.
        OutsideSystemError: apt failed.
    """
    packages = missing({name: package for name, package in PROGRAMS.items() if name not in without})
    if not packages:
        return
    names = " ".join(packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise NotThere(
            f"the local stack lacks {names}",
            detail="only root can install it, with apt-get",
            resolution=f"Run: sudo apt-get install --no-install-recommends {names}",
        )
    report(f"installing {names} with apt")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    with services_stay_off():
        run(["apt-get", "update", "-q"], timeout=_INSTALL_SECONDS, environment=environment)
        run(
            ["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages],
            timeout=_INSTALL_SECONDS,
            environment=environment,
        )
    if still := missing({name: package for name, package in PROGRAMS.items() if name not in without}):
        raise OutsideSystemError(f"apt installed no {' '.join(still)}")


@contextmanager
def services_stay_off(policy: Path = _POLICY) -> Iterator[None]:
    """Keep Debian from starting the services it installs: their ports would be in our way.

    `policy-rc.d` is Debian's own door for that; one that is there already is left alone and comes back.
    """
    kept = policy.with_name(policy.name + ".before-coffer")
    if policy.exists():
        policy.rename(kept)
    files.write(policy, "#!/bin/sh\n# Put here by `coffer stack up` while it installs packages.\nexit 101\n", 0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)
        if kept.exists():
            kept.rename(policy)
