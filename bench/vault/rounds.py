"""The rounds: every work by every tool on the same data, one after the other, in an order drawn anew each time."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from bench.vault.places import Place
from bench.vault.results import Measurement, Results
from bench.vault.subject import Rules, Subject
from bench.vault.tools import Tool
from bench.vault.workloads import Workload
from bench.vault.works import Work


def run_rounds(
    workload: Workload,
    tools: Sequence[Tool],
    place: Place,
    folder: Path,
    *,
    rounds: int,
    seed: int,
    rules: Rules,
    results: Results,
    tell: Callable[[str], None],
    works: Collection[Work] = tuple(Work),
) -> None:
    """Measure one workload.

    Each round begins with empty stores and the data as the last round left it; the data changes once a round.

    Raises:
        StepFailed: A command failed, or what came back was not what went in.
    """
    order = random.Random(seed)
    source = folder / workload.name
    shutil.rmtree(source, ignore_errors=True)
    workload.make(source)
    try:
        for turn in range(1, rounds + 1):
            subjects = [Subject(tool, folder / tool.name, place, rules) for tool in tools]
            for work in (each for each in Work if each in works):
                if work is Work.CHANGED:
                    workload.change(source, turn)
                for subject in order.sample(subjects, len(subjects)):
                    for found in subject.measure(workload.name, work, source, turn):
                        results.add(found)
                        tell(_line(found, rounds))
            for subject in subjects:
                subject.remove()
    finally:
        for name in (workload.name, *(tool.name for tool in tools)):
            shutil.rmtree(folder / name, ignore_errors=True)


def _line(found: Measurement, rounds: int) -> str:
    noise = "" if found.quiet else f"  noisy: others used {found.foreign:.0%}"
    return (
        f"{found.workload} {found.round}/{rounds}  {found.work.label:28} {found.tool:8} "
        f"{found.seconds:7.2f} s  {found.cpu:7.2f} cpu-s  {found.peak >> 20:5} MiB{noise}"
    )
