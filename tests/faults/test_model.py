"""Random sequences of everything that may happen to a vault, against a model: no committed point loses a byte."""

from __future__ import annotations

import pytest

from tests.soak.actions import sequence
from tests.soak.shrink import failure_of, report

_PARTS = 20
_EACH = 100


@pytest.mark.parametrize("part", range(_PARTS))
def test_no_committed_point_loses_a_byte(part: int) -> None:
    """Two thousand sequences; `python -m tests.soak` plays more, with other seeds."""
    for seed in range(part * _EACH, (part + 1) * _EACH):
        failure = failure_of(sequence(seed), clean_up=seed % 3 == 0)
        if failure is not None:
            pytest.fail(report(seed, failure))
