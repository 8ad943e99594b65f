"""The peers' programs, from Debian's apt: installed when the bench runs, never by the tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from coffer import processes
from coffer.errors import OutsideSystemError
from coffer.sources.postgres.programs import Programs, programs

_DEBIAN = Path("/usr/lib/postgresql")
_SECONDS = 900


def installation(major: int) -> Programs:
    """Return PostgreSQL's programs: 18 from the wheel, older ones from Debian, installed if need be.

    Raises:
        OutsideSystemError: They are not there and cannot be installed.
    """
    if major >= 18:
        return programs()
    prefix = _DEBIAN / str(major)
    if not (prefix / "bin" / "postgres").is_file():
        _apt(f"postgresql-{major}")
    return Programs(prefix)


def program(name: str) -> str:
    """Return a program's path; its Debian package has the same name and is installed if need be.

    Raises:
        OutsideSystemError: It is not there and cannot be installed.
    """
    if shutil.which(name) is None:
        _apt(name)
    found = shutil.which(name)
    if found is None:
        raise OutsideSystemError(f"{name} is not installed")
    return found


def _apt(package: str) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise OutsideSystemError(f"{package} is not installed", resolution=f"apt-get install {package}")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        processes.run(["apt-get", "-q", *words], timeout=_SECONDS, environment=environment)
