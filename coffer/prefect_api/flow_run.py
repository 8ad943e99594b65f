"""A flow run as people and commands look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FINISHED = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


@dataclass(frozen=True)
class FlowRun:
    """One run of a flow, as it was when it was read.

    Attributes:
        id: Prefect's id of the run.
        name: Its generated name.
        state: Name of its state (`Running`, `Suspended`, `AwaitingRetry`, …).
        type: Type of its state: `SCHEDULED`, `PENDING`, `RUNNING`, `PAUSED`, `COMPLETED`, `FAILED`, `CRASHED`, …
        message: What the state says, or empty.
        count: How often it was started.
        deployment: Id of its deployment, or empty.
        parameters: What it was asked to do.
        tags: Its tags.
        started: ISO time of its first start, or empty.
        ended: ISO time of its end, or empty.
        since: ISO time at which it came into its state, or empty.
        inputs: Where a waiting run keeps the form it wants filled in (`schema`, `response`, `description`).
    """

    id: str
    name: str
    state: str
    type: str
    message: str = ""
    count: int = 0
    deployment: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    started: str = ""
    ended: str = ""
    since: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.type in FINISHED

    @property
    def waiting(self) -> bool:
        """Whether it waits for a person."""
        return self.type == "PAUSED"

    @property
    def succeeded(self) -> bool:
        """Whether it did what it was asked to do."""
        return self.type == "COMPLETED"

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> FlowRun:
        """Read the JSON document that Prefect answers with."""
        state = document.get("state") or {}
        details = state.get("state_details") or {}
        return cls(
            id=str(document["id"]),
            name=document.get("name") or "",
            state=state.get("name") or document.get("state_name") or "Unknown",
            type=state.get("type") or document.get("state_type") or "UNKNOWN",
            message=state.get("message") or "",
            count=document.get("run_count") or 0,
            deployment=document.get("deployment_id") or "",
            parameters=document.get("parameters") or {},
            tags=tuple(document.get("tags") or ()),
            started=document.get("start_time") or "",
            ended=document.get("end_time") or "",
            since=state.get("timestamp") or "",
            inputs=details.get("run_input_keyset") or {},
        )

    def as_dict(self) -> dict[str, object]:
        """Return what `--json` prints."""
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "type": self.type,
            "message": self.message,
            "run_count": self.count,
            "parameters": dict(self.parameters),
            "tags": list(self.tags),
            "started": self.started,
            "ended": self.ended,
            "since": self.since,
        }
