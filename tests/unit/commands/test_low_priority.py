"""Giving way to everybody, in a process of its own: it cannot be taken back."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import os, threading
from coffer.commands.low_priority import take_lowest_priority
take_lowest_priority()
seen = []
thread = threading.Thread(target=lambda: seen.append(os.getpriority(os.PRIO_PROCESS, 0)))
thread.start(); thread.join()
import psutil
print(os.getpriority(os.PRIO_PROCESS, 0), seen[0], psutil.Process().ionice().ioclass.name)
"""


def test_processor_and_disk_threads_included() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["19", "19", "IOPRIO_CLASS_IDLE"]
