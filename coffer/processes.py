"""The one room that runs programs: argv lists, a time limit, secrets out of messages."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from coffer.errors import OutsideSystemError

_TAIL = 2_000
_BACKGROUND = 19
_PIPE = 1 << 20


@dataclass(frozen=True)
class Completed:
    """What a program left behind.

    Attributes:
        argv: The command with secrets replaced.
        exit_code: Its exit status; negative for a signal.
        stdout: Its standard output, decoded leniently.
        stderr: Its standard error, decoded leniently.
    """

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace every secret in a text."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[secret]")
    return text


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    accept: Iterable[int] = (0,),
    secrets: Iterable[str] = (),
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    stdin: bytes | None = None,
    user: str | None = None,
) -> Completed:
    """Run a program to its end.

    Args:
        argv: Program and arguments; never a shell line.
        timeout: Seconds after which its whole process group is killed.
        accept: Exit codes that are a normal answer of this program.
        secrets: Values that must not appear in errors.
        environment: Variables added to this process's own.
        directory: Working directory.
        stdin: Bytes for standard input.
        user: Account to run as (PostgreSQL refuses root).

    Raises:
        OutsideSystemError: It is not installed, took too long, or ended with another code.
    """
    words = [str(word) for word in argv]
    hidden = list(secrets)
    shown = tuple(redact(word, hidden) for word in words)
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            cwd=directory,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise OutsideSystemError(f"{shown[0]} is not installed", detail=str(error)) from error
    try:
        out, err = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        _kill_group(process)
        raise OutsideSystemError(f"{shown[0]} took longer than {timeout:g} s", detail=" ".join(shown)) from error
    except BaseException:
        _kill_group(process)
        raise
    stdout, stderr = (redact(text.decode(errors="replace"), hidden) for text in (out, err))
    result = Completed(shown, process.returncode, stdout, stderr)
    if result.exit_code not in set(accept):
        raise OutsideSystemError(
            f"{shown[0]} ended with {result.exit_code}", detail=(result.stderr or result.stdout)[-_TAIL:].strip()
        )
    return result


@contextlib.contextmanager
def reading(argv: Sequence[str | bytes], stdin: bytes = b"") -> Iterator[IO[bytes]]:
    """Run a program beside the caller, who reads what it writes; it is ended when he has read enough.

    Args:
        argv: Program and arguments; no secret among them.
        stdin: Bytes for its standard input, which it has to read before it writes.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - it was asked for
    with contextlib.suppress(OSError):  # it may run ahead by so much; more than a user may have is no error
        fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
    try:
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it ended early, which whoever reads will see
                process.stdin.write(stdin)
                process.stdin.close()
            process.stdin = None
        yield process.stdout
    finally:
        _kill_group(process)


def start_detached(argv: Sequence[str | Path], log: Path) -> subprocess.Popen[bytes]:
    """Start a program that outlives the caller and holds nothing of his open: it ends by itself.

    Args:
        argv: Program and arguments; no secret among them.
        log: Takes what it writes; begun anew.
    """
    with log.open("wb") as output:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, close_fds=True
        )


@contextlib.contextmanager
def background() -> Iterator[None]:
    """Let what this thread does, and the programs it starts, give way to everything else on the machine.

    Builds, scans and tests run beside what serves. Linux keeps this priority by thread, and children inherit it. An
    account that may lower but not raise it again keeps the thread low; that is no error.
    """
    thread = threading.get_native_id()
    before = os.getpriority(os.PRIO_PROCESS, thread)
    os.setpriority(os.PRIO_PROCESS, thread, max(before, _BACKGROUND))
    try:
        yield
    finally:
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, thread, before)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
