"""Watching: trouble becomes events, a point is started where it helps, once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.logging import disable_run_logger

from coffer.errors import UsageError
from coffer.recovery.forecast import Rates, forecast
from coffer.recovery.promises import Known, Limits, Outlook, judge
from tasks import alerts, events, promises

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
GOOD = Known(NOW, "000002-x", NOW - timedelta(hours=1), 10**9, NOW, 10**8, NOW)
LIMITS = Limits(timedelta(minutes=15), timedelta(hours=4), timedelta(days=8))
RATES = Rates(restore=100e6, replay=50e6, fixed=10, drills=3, assumed=())


def outlook(**changes: Any) -> Outlook:
    known = replace(GOOD, **changes)
    return judge(known, forecast(RATES, known.point_size, known.wal_since), LIMITS)


class Seen:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.started: list[tuple[str, str]] = []
        self.tables: list[str] = []

    def start(self, deployment: str, parameters: dict[str, Any], *, key: str) -> SimpleNamespace:
        assert parameters == {"environment": "production", "kind": "auto"}
        self.started.append((deployment, key))
        return SimpleNamespace(run=SimpleNamespace(name="calm-run"))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    seen = Seen()
    service = SimpleNamespace(name="creditai")
    monkeypatch.setattr(promises, "environments", SimpleNamespace(load=lambda _: SimpleNamespace(service=service)))
    monkeypatch.setattr(promises.events, "emit", lambda event, _, payload: seen.events.append((event, payload)))
    monkeypatch.setattr(promises.artifacts, "table", lambda _key, _rows, title: seen.tables.append(title))
    monkeypatch.setattr(promises, "keep_metrics", lambda *_: None)
    monkeypatch.setattr(promises, "PrefectApi", SimpleNamespace(from_environment=lambda: seen))
    with disable_run_logger():
        yield seen


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"wal_since": int(50e6 * 710)}, [("coffer.promise.in_danger", "recovery time", "in danger")]),
        ({"point_started": NOW - timedelta(hours=5)}, [("coffer.point.missed", "point", "broken")]),
        ({"last_drill_failed": True}, [("coffer.promise.in_danger", "drill", "broken")]),
    ],
)
def test_trouble_is_told(
    seen: Seen, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], told: list[tuple[str, str, str]]
) -> None:
    monkeypatch.setattr(promises, "look", lambda _: outlook(**changes))
    promises.look_at.fn("production")
    assert [(event, payload["promise"], payload["state"]) for event, payload in seen.events] == told
    assert all(payload["detail"] and payload["environment"] == "production" for _, payload in seen.events)
    assert "A disaster in production now:" in seen.tables[0]


def test_a_point_is_taken_before_the_promise_is_broken_and_asked_for_once(seen: Seen) -> None:
    assert promises.act_on.fn("production", outlook()) == ""
    danger = outlook(wal_since=int(50e6 * 710))
    assert promises.act_on.fn("production", danger) == "calm-run"
    later = outlook(wal_since=int(50e6 * 720), now=NOW + timedelta(minutes=10))
    promises.act_on.fn("production", later)
    assert seen.started == [("backup/production-on-demand", "watch-production-000002-x")] * 2, "one key is one run"


def test_a_missed_point_is_asked_for_once_an_hour(seen: Seen) -> None:
    for minutes in (0, 10, 70):
        now = NOW + timedelta(minutes=minutes)
        promises.act_on.fn("production", outlook(point_started=NOW - timedelta(hours=5), now=now, wal_written=now))
    keys = [key for _, key in seen.started]
    assert keys[0] == keys[1] != keys[2]


def test_environment_and_promise_are_labels_since_automations_match_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(events, "emit_event", lambda **event: sent.append(event))
    events.emit("coffer.point.missed", "creditai", {"environment": "production", "promise": "point", "seconds": 1})
    events.emit("coffer.drill.passed", "creditai", {"environment": "production"})
    assert sent[0]["resource"] == {
        "prefect.resource.id": "coffer.service.creditai", "coffer.environment": "production", "coffer.promise": "point",
    }  # fmt: skip
    assert "coffer.promise" not in sent[1]["resource"]


def test_people_are_told_over_the_channels_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = SimpleNamespace(tell="env:TELL")
    monkeypatch.setattr(alerts, "environments", SimpleNamespace(load=lambda _: None))
    monkeypatch.setattr(alerts, "recovery_of", lambda _: SimpleNamespace(watch=watch))
    monkeypatch.setenv("TELL", "nonsense-secret")
    with disable_run_logger():
        with pytest.raises(UsageError, match="none that Apprise knows") as refused:
            alerts.tell.fn("production", "title", "text")
        assert "nonsense-secret" not in str(refused.value)
        watch.tell = None
        with pytest.raises(UsageError, match="nobody to tell"):
            alerts.tell.fn("production", "title", "text")
