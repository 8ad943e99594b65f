"""A load in numbers, and whether what was answered is what the database holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from coffer.targets.load.records import Columns, Records, latencies


@dataclass(frozen=True)
class LoadResult:
    """What a load saw. Times are seconds since the epoch, durations milliseconds unless they say otherwise.

    Attributes:
        requests: Requests sent and ended.
        failed: Those without a correct answer.
        failures: By kind of failure: how many, and the first examples.
        kept_alive: Requests on connections used before or after.
        fresh: Requests on a connection of their own.
        seconds: How long the load ran.
        per_second: Requests a second.
        latency_ms: Percentiles over correct answers.
        by_request: The same for each kind of request.
        versions: For each version: answers, first and last, and the last on a fresh connection.
        timeline: For each second: requests, failures, p99, answers by version.
        websockets: What became of them.
        not_sent: Requests left out because too many were waiting already; 0 in a load that counts.
        behind_ms: How late the generator itself was at worst.
        began: When it began.
    """

    requests: int
    failed: int
    failures: Mapping[str, Any]
    kept_alive: int
    fresh: int
    seconds: float
    per_second: float
    latency_ms: Mapping[str, float]
    by_request: Mapping[str, Any]
    versions: Mapping[str, Any]
    timeline: list[Mapping[str, Any]]
    websockets: Mapping[str, Any]
    not_sent: int
    behind_ms: float
    began: float
    columns: Columns = field(repr=False, compare=False)
    version_names: tuple[str, ...] = ("",)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON shows it, without the single requests."""
        return {name: value for name, value in self.__dict__.items() if name not in ("columns", "version_names")}

    def last_answer(self, version: str, flipped_at: float) -> float:
        """Return how long after a flip a request on a fresh connection still got an old answer.

        Args:
            version: The old version.
            flipped_at: Seconds since the epoch.

        Returns:
            Milliseconds from the flip to the start of the last such request; 0.0 if there was none.
        """
        if version not in self.version_names:
            return 0.0
        index = self.version_names.index(version)
        started = self.columns.started[self.columns.fresh & (self.columns.version == index)]
        return max(0.0, float(started.max(initial=flipped_at)) - flipped_at) * 1000

    def window(self, begin: float, end: float) -> dict[str, float]:
        """Return the latency percentiles of requests started within a window."""
        inside = (self.columns.started >= begin) & (self.columns.started < end) & ~self.columns.failed
        return latencies(self.columns.seconds[inside])


def summarise(records: Records, seconds: float) -> LoadResult:
    """Return the result of what was noted."""
    columns = records.columns()
    fresh = int(columns.fresh.sum())
    failures = {kind: {"count": n, "first": records.examples[kind]} for kind, n in records.failures.most_common()}
    return LoadResult(
        requests=records.requests,
        failed=records.failed,
        failures=failures,
        kept_alive=records.requests - fresh,
        fresh=fresh,
        seconds=round(seconds, 3),
        per_second=round(records.requests / seconds, 1) if seconds else 0.0,
        latency_ms=latencies(columns.seconds[~columns.failed]),
        by_request=_by_request(records, columns),
        versions=_versions(records, columns),
        timeline=_timeline(records, columns),
        websockets=records.websockets.as_dict(),
        not_sent=records.not_sent,
        behind_ms=round(records.behind_ms, 1),
        began=records.began,
        columns=columns,
        version_names=tuple(records.versions),
    )


def _by_request(records: Records, columns: Columns) -> dict[str, Any]:
    result = {}
    for index, name in enumerate(records.kinds):
        mine = columns.kind == index
        good = mine & ~columns.failed
        result[name] = {
            "requests": int(mine.sum()),
            "failed": int((mine & columns.failed).sum()),
            "latency_ms": latencies(columns.seconds[good]),
        }
    return result


def _versions(records: Records, columns: Columns) -> dict[str, Any]:
    result = {}
    for index, name in enumerate(records.versions):
        mine = (columns.version == index) & ~columns.failed
        if index == 0 or not mine.any():
            continue
        started, fresh = columns.started[mine], columns.started[mine & columns.fresh]
        result[name] = {
            "answers": int(mine.sum()),
            "first": float(started.min()),
            "last": float(started.max()),
            "last_fresh": float(fresh.max()) if len(fresh) else None,
        }
    return result


def _timeline(records: Records, columns: Columns) -> list[Mapping[str, Any]]:
    if not len(columns.started):
        return []
    second = np.floor(columns.started - records.began).astype(int)
    lines: list[Mapping[str, Any]] = []
    for number in range(int(second.max()) + 1):
        mine = second == number
        good = mine & ~columns.failed
        seen = Counter(columns.version[good].tolist())
        lines.append(
            {
                "second": number,
                "requests": int(mine.sum()),
                "failed": int((mine & columns.failed).sum()),
                "p99_ms": latencies(columns.seconds[good]).get("p99"),
                "versions": {records.versions[index]: count for index, count in sorted(seen.items()) if index},
            }
        )
    return lines


@dataclass(frozen=True)
class Post:
    """One request with an id of its own.

    Attributes:
        key: The id.
        at: When it was sent, seconds since the epoch.
        ok: Answered correctly: the service has promised to have it.
        status: Status code; 0 if no answer came.
        failure: Kind of failure.
    """

    key: str
    at: float
    ok: bool
    status: int
    failure: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as a line of the log shows it."""
        return asdict(self)


def reconcile(posts: Iterable[Post | Mapping[str, Any]], rows: Iterable[str]) -> tuple[list[str], list[str]]:
    """Compare what was answered with what is stored.

    A request without an answer may or may not have been stored: it is neither lost nor, once, too much.

    Args:
        posts: What was sent, as `Post` or as lines of the log.
        rows: The ids in the database, one a row.

    Returns:
        Ids that were promised and are not there; ids that are there more than once.
    """
    stored = Counter(rows)
    lines = [post.as_dict() if isinstance(post, Post) else post for post in posts]
    lost = [line["key"] for line in lines if line["ok"] and not stored[line["key"]]]
    doubled = sorted({line["key"] for line in lines if stored[line["key"]] > 1})
    return lost, doubled
