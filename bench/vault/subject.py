"""One tool in one round: its store, its own files, and how a noisy measurement is done again from the same start."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.vault.measuring import Cost, drop_caches, measure, run, wait_for_quiet
from bench.vault.places import Place
from bench.vault.results import NOISE, Measurement
from bench.vault.sameness import check_same
from bench.vault.tools import Tool
from bench.vault.works import Work
from coffer.errors import StepFailed


@dataclass(frozen=True)
class Rules:
    """How measurements are taken.

    Attributes:
        attempts: How often a noisy one is done, at most.
        patience: Seconds to wait for a quiet machine before each.
        timeout: Seconds after which a command is killed.
        cold: Drop the caches before each, but for what is measured from cache.
    """

    attempts: int = 3
    patience: float = 60
    timeout: float = 1800
    cold: bool = True


class Subject:
    """A tool with an empty store.

    Args:
        tool: The tool.
        folder: Its own; made anew.
        place: Where its objects go.
        rules: How to measure.
    """

    def __init__(self, tool: Tool, folder: Path, place: Place, rules: Rules) -> None:
        self.tool = tool
        self._folder, self._place, self._rules = folder, place, rules
        self._state, self._target = folder / "state", folder / "target"
        shutil.rmtree(folder, ignore_errors=True)
        self._state.mkdir(parents=True)
        self._address = place.fresh(folder)
        for command in tool.create(self._state, self._address):
            run(command)

    def measure(self, workload: str, work: Work, source: Path, turn: int) -> list[Measurement]:
        """Do a work until it was quiet; every attempt is returned, and the first restore is compared."""
        if not self.tool.does(work):
            return []
        command = self.tool.command(work, self._state, self._address, source, self._target)
        # A store behind a server cannot be set back.
        attempts = self._rules.attempts if self._place.server is None or not work.writes else 1
        if attempts > 1 and work.writes:
            self._keep()
        found: list[Measurement] = []
        for attempt in range(1, attempts + 1):
            if attempt > 1 and work.writes:
                self._set_back()
            self._make_ready(work)
            before = self._place.requests()
            cost = measure(command, synced=[self._folder], server=self._place.server, timeout=self._rules.timeout)
            requests = self._place.requests() - before
            self._check(work, source, cost, compare=turn == 1 and attempt == 1)
            found.append(self._measurement(workload, work, turn, attempt, cost, requests))
            if cost.foreign <= NOISE:
                break
        return found

    def remove(self) -> None:
        """Remove its files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make_ready(self, work: Work) -> None:
        shutil.rmtree(self._target, ignore_errors=True)
        wait_for_quiet(self._rules.patience)
        if not work.cold:
            self._place.warm(self._address)
        elif self._rules.cold:
            drop_caches()

    def _check(self, work: Work, source: Path, cost: Cost, *, compare: bool) -> None:
        if work is Work.RESTORE:
            if compare:
                try:
                    check_same(source, self._target)
                except StepFailed as error:
                    raise StepFailed(
                        f"{self.tool.name}: {error.summary}", detail=f"{error.detail}; {cost.output}"
                    ) from error
            shutil.rmtree(self._target)

    def _measurement(
        self, workload: str, work: Work, turn: int, attempt: int, cost: Cost, requests: Counter[str]
    ) -> Measurement:
        objects, stored = self._place.stored(self._address)
        return Measurement(
            workload,
            self._place.name,
            work,
            self.tool.name,
            turn,
            attempt,
            cost.seconds,
            cost.user,
            cost.system,
            cost.peak,
            cost.foreign,
            stored,
            objects,
            dict(requests),
            cost.server,
        )

    def _keep(self) -> None:
        """Keep the state before a backup. Objects are never changed in place, so links to them are enough."""
        kept = self._folder / "kept"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self._state, kept / "state")
        shutil.copytree(self._folder / "store", kept / "store", copy_function=os.link)

    def _set_back(self) -> None:
        kept = self._folder / "kept"
        for name in ("state", "store"):
            shutil.rmtree(self._folder / name)
        shutil.copytree(kept / "state", self._state)
        shutil.copytree(kept / "store", self._folder / "store", copy_function=os.link)
