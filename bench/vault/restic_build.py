"""Has restic built from the Go module proxy, once, into the user's cache; never into the repository."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from coffer import processes
from coffer.errors import OutsideSystemError

# Newest first. Asked for one by one, since the proxy's own list of tags may be years behind.
VERSIONS = ("0.19.1", "0.18.1", "0.17.3")
_MODULE = "github.com/restic/restic/cmd/restic"
_SECONDS = 1800


def find_restic() -> tuple[Path, str]:
    """Return restic and its version, built on first use.

    Raises:
        OutsideSystemError: It is not there and cannot be built.
    """
    for version in VERSIONS:
        if (program := _place(version)).is_file():
            return program, version
    go = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin:/usr/lib/go/bin")
    if go is None:
        raise OutsideSystemError("Go is not installed")
    said = ""
    for version in VERSIONS:
        try:
            return _build(Path(go), version), version
        except OutsideSystemError as error:
            said = (error.detail or str(error)).splitlines()[-1]
    raise OutsideSystemError("restic does not build", detail=said)


def _build(go: Path, version: str) -> Path:
    program = _place(version)
    fresh = program.parent.with_name(f"{program.parent.name}.new")
    fresh.mkdir(parents=True, exist_ok=True)
    environment = {"GOBIN": str(fresh), "CGO_ENABLED": "0"}
    processes.run([go, "install", f"{_MODULE}@v{version}"], timeout=_SECONDS, environment=environment)
    fresh.rename(program.parent)
    return program


def cache() -> Path:
    """Return the folder for what outlives a run of the bench."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coffer" / "bench"


def _place(version: str) -> Path:
    return cache() / f"restic-{version}" / "restic"
