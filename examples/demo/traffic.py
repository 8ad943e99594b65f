"""Steady load on the released service, and what became of every request and every row."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from coffer.errors import StepFailed
from coffer.targets.load import reconcile
from examples.demo.releases import SERVICE
from examples.demo.stack import Stack

RATE = 60
"""Requests a second: enough to catch a switch that loses something, little beside a build on two cores."""


@dataclass
class Traffic:
    """What a load saw, once it ended.

    Attributes:
        status: Where the generator says how far it is.
        result: The load generator's own report.
        posts: Requests with an id that were answered with success.
        lost: Keys that were answered with success and are not in the database.
        doubled: Keys that are in the database twice.
    """

    status: Path
    result: dict[str, Any] = field(default_factory=dict)
    posts: int = 0
    lost: int = 0
    doubled: int = 0

    @property
    def requests(self) -> int:
        """All requests."""
        return int(self.result["requests"])

    @property
    def failed(self) -> int:
        """Those without a correct answer."""
        return int(self.result["failed"])

    @property
    def p95(self) -> float:
        """95th percentile over correct answers, milliseconds."""
        return float(self.result["latency_ms"]["p95"])

    def wait_for(self, requests: int) -> None:
        """Go on loading until so many requests ended.

        Raises:
            StepFailed: The generator stands still.
        """
        deadline = time.monotonic() + 120
        while self._sent() < requests:
            if time.monotonic() > deadline:
                raise StepFailed("the load generator stands still", detail=f"{self._sent()} of {requests} requests")
            time.sleep(0.5)

    def _sent(self) -> int:
        try:
            return int(json.loads(self.status.read_text())["requests"])
        except (FileNotFoundError, json.JSONDecodeError):
            return 0  # not written yet, or just being replaced


@contextmanager
def traffic(stack: Stack) -> Iterator[Traffic]:
    """Load production through its edge while the block runs; the object is filled in when it ends.

    Raises:
        StepFailed: The load generator itself failed.
    """
    with tempfile.TemporaryDirectory(prefix="coffer-demo-") as name:
        out, posts = Path(name, "load.json"), Path(name, "posts.jsonl")
        seen = Traffic(Path(name, "status.json"))
        command = [*_command(stack, out, posts), "--status", seen.status]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            yield seen
        finally:
            process.terminate()
            _, complaint = process.communicate(timeout=60)
        if not out.exists():
            raise StepFailed("the load generator failed", detail=complaint[-800:])
        seen.result = json.loads(out.read_text())
        _reconcile(stack, seen, posts)


def count_disputes(stack: Stack) -> tuple[int, str]:
    """Return how many disputes production has, and its clock right after."""
    with psycopg.connect(stack.production["admin_conninfo"]) as connection:
        count, now = connection.execute("SELECT count(*), clock_timestamp() FROM disputes").fetchall()[0]
    return int(count), now.isoformat()


def _command(stack: Stack, out: Path, posts: Path) -> list[str | Path]:
    return [
        sys.executable, "-m", "coffer.targets.load",
        "--url", stack.production["edge_url"],
        "--ca", stack.production["edge_ca"],
        "--profile", SERVICE / "load-profile.toml",
        "--rate", str(RATE),
        "--duration", "600",
        "--out", out,
        "--posts-log", posts,
    ]  # fmt: skip


def _reconcile(stack: Stack, seen: Traffic, posts: Path) -> None:
    with psycopg.connect(stack.production["admin_conninfo"]) as connection:
        rows = [str(row[0]) for row in connection.execute("SELECT idempotency_key FROM disputes")]
    sent = [json.loads(line) for line in posts.read_text().splitlines()]
    lost, doubled = reconcile(sent, rows)
    seen.posts = sum(1 for post in sent if post["ok"])
    seen.lost, seen.doubled = len(lost), len(doubled)
