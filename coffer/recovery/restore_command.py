"""The shell line by which PostgreSQL asks for its log."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from coffer.errors import UsageError
from coffer.sources.postgres.programs import reachable_by_others
from coffer.sources.postgres.wal_commands import client_words, socket_folder

PAST_THE_END = 100


def restore_command(argv: Sequence[str], past_the_end: int) -> str:
    """Return a shell line that ends with 1 only when the program said `past_the_end`, else 0 or 126.

    PostgreSQL reads every small code as "the log ends here" and opens for business. A program that cannot start at
    all ends with 1 or 2; so the end must be said with a code of its own.

    Args:
        argv: The program; `%f` and `%p` stand for the file's name and where to put it.
        past_the_end: Exit code by which the program says so.
    """
    words = [word if word in ("%f", "%p") else shlex.quote(word).replace("%", "%%") for word in argv]
    line = " ".join(f'"{word}"' if word in ("%f", "%p") else word for word in words)
    return f"{line}; c=$?; test $c -eq 0 && exit 0; test $c -eq {past_the_end} && exit 1; exit 126"


def coffer_wal_fetch(config: Path, *, spool: str | None = None) -> str:
    """Return the shell line that calls this installation's `coffer wal fetch`.

    For a cluster that outlives this process; a drill's log is served by `WalServer`.

    Args:
        config: The configuration (0600, owned by PostgreSQL's account), with `identity_file` and `cluster`.
        spool: Folder for what is fetched ahead, if the configuration names one.

    Raises:
        UsageError: PostgreSQL's account cannot walk to this installation.
    """
    coffer = Path(sys.executable).with_name("coffer")
    for program in (coffer, Path(sys.executable).resolve()):
        if os.geteuid() == 0 and not reachable_by_others(program):
            raise UsageError(
                f"PostgreSQL's account cannot reach {program}",
                resolution="Install Coffer and its Python where every account may walk, not in a home folder",
            )
    folder = socket_folder(config.absolute(), spool)
    words = ["%f", "%p", "--past-the-end", str(PAST_THE_END)]
    argv = client_words(folder, "fetch", coffer, config.absolute(), words)
    return restore_command(argv, PAST_THE_END)
