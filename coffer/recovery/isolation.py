"""Cuts what a restored cluster runs off from production: no network, and none of its sockets.

A restored database brings along whatever it did in production: jobs, foreign servers, triggers that call out. It runs
under the same account too, which production's own socket would let in by `peer`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coffer.errors import OutsideSystemError
from coffer.processes import run

HIDDEN = (Path("/run"),)
"""Where Debian's services keep their sockets, PostgreSQL's and Docker's among them."""
# An empty folder over each one that is to be hidden; the mounts are this process's own and go with it.
_HIDE = 'while [ "$1" != -- ]; do mount -t tmpfs -o ro,size=4k hidden "$1" || exit 126; shift; done; shift; exec "$@"'


@dataclass(frozen=True)
class Isolation:
    """How a program is cut off.

    Attributes:
        wrapper: What stands before its command line; it changes to the account itself. Empty: it is not cut off.
        detail: What that means, for people.
        hidden: Folders that are empty for it.
    """

    wrapper: tuple[str, ...]
    detail: str
    hidden: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """It is cut off."""
        return bool(self.wrapper)


def isolation(user: str, scratch: Path, hidden: Sequence[Path] = ()) -> Isolation:
    """Return how to run a program as an account, without any network and without production's sockets.

    As root that is a network and a mount namespace of its own. Another account gets a network namespace in a user
    namespace, where the kernel allows it. Where none is possible (in a container, say) that is said in `detail`.

    Args:
        user: Account to run as.
        scratch: The program's own folder, which stays visible.
        hidden: Folders with production's sockets, beside the usual ones.
    """
    reason = _refusal()
    if reason:
        return Isolation((), f"no network namespace, listening nowhere: {reason}")
    if os.geteuid() != 0:
        return Isolation(("unshare", "--user", "--map-current-user", "--net", "--"), "a network namespace of its own")
    coverable = [folder for folder in (*HIDDEN, *hidden) if not _holds(folder, scratch)]
    covered = [str(folder) for folder in _outermost(coverable)]
    wrapper = ("unshare", "--net", "--mount", "--", "sh", "-c", _HIDE, "sh", *covered, "--", *_become(user))
    return Isolation(
        wrapper, f"a network namespace of its own; {', '.join(covered) or 'nothing'} hidden", tuple(covered)
    )


def _outermost(folders: Sequence[Path]) -> list[Path]:
    """Return the folders that are there, but for those inside another one: under its cover they are gone already."""
    there = list(dict.fromkeys(folder.resolve() for folder in folders if folder.is_dir()))
    return [folder for folder in there if not any(other in folder.parents for other in there)]


def _become(user: str) -> tuple[str, ...]:
    return ("setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--")


def _holds(folder: Path, inner: Path) -> bool:
    resolved = inner.resolve()
    return folder.resolve() in (resolved, *resolved.parents)


@functools.cache
def _refusal() -> str:
    """Return why the kernel gives this account no namespaces; empty if it does."""
    spaces = ["--net", "--mount"] if os.geteuid() == 0 else ["--user", "--map-current-user", "--net"]
    try:
        run(["unshare", *spaces, "--", "true"], timeout=10)
    except OutsideSystemError as error:
        return error.detail or error.summary
    return ""
