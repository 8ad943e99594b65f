"""What proofs at real size stand on: what integration tests do."""

from __future__ import annotations

from tests.services.gcs import gcs
from tests.services.machine import pytest_sessionstart, pytest_unconfigure
from tests.services.s3 import s3

__all__ = [
    "gcs",
    "pytest_sessionstart",
    "pytest_unconfigure",
    "s3",
]  # one store a session, or a process of a parallel one
