"""The walk as a program beside the one that asked for it: arguments are JSON on standard input, answers are marshalled.

It is started by its path, without site-packages: what it needs is Python's own library and this folder.
"""

from __future__ import annotations

import json
import marshal
import sys
from pathlib import Path
from typing import Any

LENGTH = 4
"""Bytes that say how long a message is."""


def main() -> None:
    """Write messages, each behind its length; `end` ends them."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    from coffer.sources.walking.telling import END, messages

    asked = json.loads(sys.stdin.buffer.read())
    root, after, known = bytes.fromhex(asked["root"]), bytes.fromhex(asked["after"]), map(bytes.fromhex, asked["known"])
    for message in messages(root, after, set(known), asked["read"]):
        _say(message)
    _say((END, b""))


def _say(message: tuple[str, Any]) -> None:
    data = marshal.dumps(message)
    sys.stdout.buffer.write(len(data).to_bytes(LENGTH, "big") + data)


if __name__ == "__main__":
    main()
