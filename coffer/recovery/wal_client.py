"""PostgreSQL's restore_command in a drill: asks the process that holds the keys, over a UNIX socket.

Runs as PostgreSQL's account, which can open neither the identity nor, maybe, this Python environment: so it is copied
beside the cluster and imports the standard library only. Ends with 0 when the file is there, with 100 when the
log is proven to end before it, with 126 for everything else; the shell line around it turns 100 into the 1 that
PostgreSQL reads as the end, so that a Python which cannot even start (it ends with 1 too) never looks like it.
"""

from __future__ import annotations

import pathlib
import socket
import sys

PAST_THE_END = 100
FAILED = 126


def main(address: str, name: str, destination: str) -> int:
    """Fetch one file; return the exit code."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(600)
            connection.connect(address)
            connection.sendall(name.encode() + b"\n")
            with connection.makefile("rb") as answer:
                status, _, rest = answer.readline().decode(errors="replace").strip().partition(" ")
                if status == "found":
                    data = answer.read(int(rest))
                    if len(data) == int(rest):
                        pathlib.Path(destination).write_bytes(data)
                        return 0
                    rest = "the answer was cut short"
    except OSError as error:
        status, rest = "failed", str(error)
    sys.stderr.write(f"coffer wal fetch {name}: {rest}\n")
    return PAST_THE_END if status == "end" else FAILED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
