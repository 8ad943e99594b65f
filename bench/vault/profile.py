"""Where the processor time of one command goes, by function and by thread, as py-spy samples it."""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.vault.measuring import Cost, drop_caches, measure, run
from bench.vault.places import Place
from bench.vault.tools import Coffer
from bench.vault.workloads import Workload
from bench.vault.works import Work
from coffer.errors import OutsideSystemError

_RATE = 250
_TIMEOUT = 3600
# `function (file:line)` and `thread (number): name`.
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>[^():]+)(:\d+)?\)")
_THREAD = re.compile(r"^thread \([^)]*\)(: )?|_\d+$|-\d+$")
_OURS = re.compile(r"[(/](coffer|bench)/")
_BEFORE = {Work.FIRST: (), Work.UNCHANGED: (Work.FIRST,), Work.CHANGED: (Work.FIRST,)}


@dataclass
class Profile:
    """Samples of one command; each counts a thread that ran, or would have if the processor had been free.

    Attributes:
        cost: What it cost, the sampling included.
        ours: Samples by the innermost function of Coffer, libraries that it calls included.
        leaves: Samples by the function that ran.
        threads: Samples by thread.
    """

    cost: Cost
    ours: Counter[str] = field(default_factory=Counter)
    leaves: Counter[str] = field(default_factory=Counter)
    threads: Counter[str] = field(default_factory=Counter)


def profile_work(workload: Workload, work: Work, place: Place, folder: Path, *, cold: bool) -> Profile:
    """Bring a vault to where the work begins, then sample the work.

    Args:
        workload: What is backed up.
        work: What is sampled.
        place: Where the objects go.
        folder: Scratch folder.
        cold: Drop the caches first.

    Raises:
        OutsideSystemError: py-spy is not installed.
    """
    sampler = Path(sys.executable).with_name("py-spy")
    if not sampler.exists():
        raise OutsideSystemError("py-spy is not installed", resolution="pip install py-spy")
    shutil.rmtree(folder, ignore_errors=True)
    source, state, target = folder / "source", folder / "state", folder / "target"
    state.mkdir(parents=True)
    workload.make(source)
    tool, address = Coffer(""), place.fresh(folder)
    for command in tool.create(state, address):
        run(command)
    for earlier in _BEFORE.get(work, (Work.FIRST,)):
        run(tool.command(earlier, state, address, source, target))
    if work is Work.CHANGED:
        workload.change(source, 1)
    if cold:
        drop_caches()
    samples = folder / "samples"
    words = [str(sampler), "record", "--format", "raw", "--rate", str(_RATE), "--threads", "-o", str(samples), "--"]
    command = tool.command(work, state, address, source, target)
    cost = measure(replace(command, argv=[*words, *command.argv]), synced=[folder], timeout=_TIMEOUT)
    return read_samples(samples.read_text().splitlines(), cost)


def read_samples(lines: Sequence[str], cost: Cost) -> Profile:
    """Add up py-spy's raw samples: `frame;frame;… COUNT`, outermost first, the thread before all."""
    found = Profile(cost)
    for line in lines:
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        mine = [frame for frame in frames if _OURS.search(frame)]
        found.threads[_THREAD.sub("", thread) or "MainThread"] += int(count)
        found.leaves[_name(frames[-1]) if frames else "?"] += int(count)
        found.ours[_name(mine[-1]) if mine else "Python and libraries alone"] += int(count)
    return found


def print_profile(found: Profile, title: str, lines: int, console: Console) -> None:
    """Print shares of the samples, and the command's processor seconds divided by them."""
    cost = found.cost
    console.print(
        f"{title}: {cost.seconds:.2f} s, {cost.user:.2f} user + {cost.system:.2f} system CPU seconds, "
        f"peak {cost.peak >> 20} MiB; all with the sampling",
        soft_wrap=True,
    )
    tables = (
        ("innermost function of Coffer", found.ours),
        ("function that ran", found.leaves),
        ("thread", found.threads),
    )
    for name, counts in tables:
        table = Table(title=name)
        for column in ("share", "CPU s"):
            table.add_column(column, justify="right")
        table.add_column("what", overflow="fold")
        for what, count in counts.most_common(lines):
            share = count / counts.total()
            table.add_row(f"{share:.1%}", f"{share * cost.cpu:.2f}", what)
        console.print(table)


def _name(frame: str) -> str:
    match = _FRAME.fullmatch(frame)
    if match is None:
        return frame
    return f"{re.sub(r'^.*/site-packages/', '', match['file'])}: {match['function']}"
