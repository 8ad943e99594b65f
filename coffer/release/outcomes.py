"""What tests of an image brought back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar


class TestStatus(StrEnum):
    """How a test ended; what did not run did not pass."""

    __test__: ClassVar[bool] = False  # pytest would collect it by its name

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not-run"


@dataclass(frozen=True)
class TestOutcome:
    """One test of one image.

    Attributes:
        name: `unit`, `integration`, `start-and-stop`, `load`, …
        status: How it ended.
        required: Whether the release needs it to have passed.
        detail: Why it failed or did not run, or what it saw.
        seconds: How long it took.
        figures: What it measured, by name with unit (`p95_ms`, `requests_per_minute`).
    """

    __test__: ClassVar[bool] = False

    name: str
    status: TestStatus
    required: bool = True
    detail: str = ""
    seconds: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)
