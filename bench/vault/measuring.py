"""Runs one command and measures it: seconds with the sync, processor seconds, peak memory, and what else ran."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from coffer.errors import StepFailed

_SAMPLE_SECONDS = 0.02
_TREE_EVERY = 10
_TAIL = 1500
_BUSY_BEFORE = 0.09
_DROP = Path("/proc/sys/vm/drop_caches")
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Command:
    """A command of a tool.

    Attributes:
        argv: Program and arguments.
        environment: Variables added to this process's own.
        directory: Working directory.
    """

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None


@dataclass(frozen=True)
class Cost:
    """What a command cost.

    Attributes:
        seconds: Wall clock, from its start to the end of the syncfs that follows it.
        user: Processor seconds in its own code, children included.
        system: Processor seconds in the kernel for it, children included.
        peak: Bytes of memory at the highest moment: resident, summed over its processes.
        foreign: Share of the machine that others used meanwhile, stolen time included.
        server: Processor seconds of the store's server meanwhile.
        output: The end of what it said.
    """

    seconds: float
    user: float
    system: float
    peak: int
    foreign: float
    server: float = 0.0
    output: str = field(default="", repr=False)

    @property
    def cpu(self) -> float:
        """Processor seconds."""
        return self.user + self.system


def measure(command: Command, *, synced: Sequence[Path] = (), server: int | None = None, timeout: float) -> Cost:
    """Run a command to its end; the clock stops when the file systems of `synced` are on disk.

    Args:
        command: What to run.
        synced: Folders whose file systems are synced inside the timer.
        server: Process whose work for the command is counted apart (an S3 server).
        timeout: Seconds after which it is killed.

    Raises:
        StepFailed: It ended with an error, or not in time.
    """
    with tempfile.TemporaryFile() as output:
        served, own, busy = _seconds_of(server), time.process_time(), _busy_seconds()
        began = time.monotonic()
        process = _start(command, output)
        watch = _Watch(process.pid)
        killer = threading.Timer(timeout, process.kill)
        killer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            killer.cancel()
            watch.stop()
        for folder in synced:
            syncfs(folder)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        served = _seconds_of(server) - served
        mine = time.process_time() - own + usage.ru_utime + usage.ru_stime + served
        foreign = max(0.0, _busy_seconds() - busy - mine) / (seconds * (os.cpu_count() or 1))
        said = _tail(output)
    if process.returncode:
        raise StepFailed(f"{' '.join(command.argv[:2])} ended with {process.returncode}", detail=said)
    return Cost(seconds, usage.ru_utime, usage.ru_stime, watch.peak, foreign, served, said)


def run(command: Command, *, timeout: float = 600) -> None:
    """Run a command that is not measured."""
    measure(command, timeout=timeout)


def drop_caches() -> bool:
    """Write everything to disk and forget it; False where this account may not."""
    os.sync()
    try:
        _DROP.write_text("3\n")
    except OSError:
        return False
    return True


def syncfs(folder: Path) -> None:
    """Wait until the file system that holds a folder is on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _libc.syncfs(descriptor):
            raise OSError(ctypes.get_errno(), "syncfs failed", str(folder))
    finally:
        os.close(descriptor)


def wait_for_quiet(deadline_seconds: float) -> None:
    """Wait until the machine does next to nothing, or the deadline has passed."""
    until = time.monotonic() + deadline_seconds
    while time.monotonic() < until:
        if psutil.cpu_percent(0.5) / 100 < _BUSY_BEFORE:
            return


class _Watch:
    """Looks at a process's memory every few milliseconds.

    The kernel's own high-water mark of the process is exact whenever it is read, and what wait4 reports would
    include this process's memory at the fork; children are added by looking now and then.
    """

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        turn = 0
        while not self._over.wait(_SAMPLE_SECONDS):
            self.peak = max(self.peak, _high_water(self._pid))
            if turn % _TREE_EVERY == 0:
                self.peak = max(self.peak, _tree_resident(self._pid))
            turn += 1


def _start(command: Command, output: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(command.argv),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, **command.environment},
        cwd=command.directory,
        start_new_session=True,
    )


def _high_water(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0


def _tree_resident(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0


def _seconds_of(pid: int | None) -> float:
    if pid is None:
        return 0.0
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _busy_seconds() -> float:
    # Guest time is inside user time already.
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def _tail(output: IO[bytes]) -> str:
    output.seek(0, os.SEEK_END)
    output.seek(max(0, output.tell() - _TAIL))
    return output.read().decode(errors="replace").strip()
