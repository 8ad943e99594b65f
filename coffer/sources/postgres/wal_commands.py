"""The lines for postgresql.conf that archive and fetch at the cost of a tiny client."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import sys
from pathlib import Path

from coffer.errors import UsageError

_TEMPORARY = "/tmp/coffer-wal-{uid}"  # noqa: S108 - said in one place for two languages; whose it is, is checked
_CLIENT = Path(__file__).with_name("wal_client.pl")
_LONGEST_FOLDER = 107 - len("/fetch-4294967295-999999999999")
"""Of a socket's 108 bytes one is NUL, and the name is made of the device and inode of a data folder."""
PAST_THE_END = 100
"""Exit code of the proven end of the log, where a shell line turns it into the 1 that PostgreSQL expects."""


def runtime_folder(config: Path, spool: str | None, *, uid: int | None = None) -> Path:
    """Return the folder of a configuration's residents; `{uid}` in it stands for an account that is not known yet.

    Args:
        config: The configuration file.
        spool: Folder that it names, if it does; best on the file system of the data folder.
        uid: The account.
    """
    mark = hashlib.sha256(os.fsencode(config.absolute())).hexdigest()[:12]
    whole = str(Path(spool or _TEMPORARY) / mark)
    return Path(whole if uid is None else whole.replace("{uid}", str(uid)))


def socket_folder(config: Path, spool: str | None) -> Path:
    """Return `runtime_folder` for a line that PostgreSQL is to keep.

    Raises:
        UsageError: No socket fits into its path: every segment would pay for the start of an interpreter.
    """
    folder = runtime_folder(config, spool)
    if len(os.fsencode(folder)) > _LONGEST_FOLDER:
        raise UsageError(
            "the path of 'spool' is too long for a UNIX socket",
            detail=f"{folder} has {len(os.fsencode(folder))} bytes of at most {_LONGEST_FOLDER}",
            resolution="Name a folder nearer to the root in wal.toml",
        )
    return folder


def client_words(folder: Path, role: str, coffer: Path, config: Path, words: list[str]) -> list[str]:
    """Return the program and its arguments: the tiny client where there is a perl, else `coffer` itself.

    Args:
        folder: Of the residents, as PostgreSQL's account sees it.
        role: `push` or `fetch`.
        coffer: The `coffer` command.
        config: Its configuration file.
        words: Arguments of the command; `%p` and `%f` stand for themselves.
    """
    perl = shutil.which("perl")
    if perl is None:
        return [str(coffer), "wal", role, *words, "--config", str(config)]
    return [perl, str(_CLIENT), str(folder), role, str(coffer), str(config), *words]


def archive_command(config: Path, spool: str | None = None) -> str:
    """Return the shell line for PostgreSQL's setting that archives with this installation's `coffer`.

    Args:
        config: Its configuration file (0600, owned by PostgreSQL's account).
        spool: Folder for the residents, if the configuration names one.

    Raises:
        UsageError: Its path is too long for a socket.
    """
    config = config.absolute()
    words = client_words(socket_folder(config, spool), "push", Path(sys.executable).with_name("coffer"), config, ["%p"])
    return " ".join('"%p"' if word == "%p" else shlex.quote(word).replace("%", "%%") for word in words)
