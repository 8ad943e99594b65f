"""What became of every request, in compact columns: millions fit, and any window can be looked at afterwards."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EXAMPLES = 3


@dataclass
class WebSocketCounts:
    """What became of the WebSockets.

    Attributes:
        opened: Connections made, reconnections included.
        told: Closed by the server with a close frame, by code.
        cut: Ended without a close frame.
        refused: Attempts that got no WebSocket.
    """

    opened: int = 0
    told: Counter[int] = field(default_factory=Counter)
    cut: int = 0
    refused: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {**asdict(self), "told": {str(code): count for code, count in sorted(self.told.items())}}


class Records:
    """Grows while a load runs."""

    def __init__(self, kinds: list[str]) -> None:
        self.kinds = kinds
        self.versions: list[str] = [""]
        self.failures: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}
        self.websockets = WebSocketCounts()
        self.not_sent = 0
        self.behind_ms = 0.0
        self.began = time.time()
        self._started, self._seconds = array("d"), array("f")
        self._kind, self._version = array("H"), array("H")
        self._failed, self._fresh = array("b"), array("b")

    def add(
        self, *, started: float, seconds: float, kind: int, version: str, fresh: bool, failure: str, why: str
    ) -> None:
        """Note one request; `failure` is empty for a correct answer."""
        self._started.append(started)
        self._seconds.append(seconds)
        self._kind.append(kind)
        self._version.append(self._index(version))
        self._failed.append(bool(failure))
        self._fresh.append(fresh)
        if failure:
            self.failures[failure] += 1
            examples = self.examples.setdefault(failure, [])
            if len(examples) < _EXAMPLES:
                examples.append(why)

    @property
    def requests(self) -> int:
        """Requests that have ended."""
        return len(self._started)

    @property
    def failed(self) -> int:
        """Those without a correct answer."""
        return self.failures.total()

    def columns(self) -> Columns:
        """Return what is there now, for looking at."""
        return Columns(
            np.array(self._started), np.array(self._seconds), np.array(self._kind), np.array(self._version),
            np.array(self._failed, dtype=bool), np.array(self._fresh, dtype=bool),
        )  # fmt: skip

    def _index(self, version: str) -> int:
        if version not in self.versions:
            self.versions.append(version)
        return self.versions.index(version)


@dataclass(frozen=True)
class Columns:
    """One entry a request, in the order in which they ended.

    Attributes:
        started: Seconds since the epoch.
        seconds: Until the whole answer was there.
        kind: Index of the kind of request.
        version: Index of the version that answered; 0 if it did not say.
        failed: No correct answer.
        fresh: On a connection of its own.
    """

    started: NDArray[np.float64]
    seconds: NDArray[np.float32]
    kind: NDArray[np.uint16]
    version: NDArray[np.uint16]
    failed: NDArray[np.bool_]
    fresh: NDArray[np.bool_]


def latencies(seconds: NDArray[np.float32]) -> dict[str, float]:
    """Return percentiles in milliseconds; empty for no request."""
    if not len(seconds):
        return {}
    ranks = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    values = np.percentile(seconds.astype(np.float64) * 1000, list(ranks.values()))
    return {name: round(float(value), 3) for name, value in zip(ranks, values, strict=True)}
