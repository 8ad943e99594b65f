"""Which parts of the log lead from one position to another, across timelines. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from coffer.sources.postgres.wal import Fork
from coffer.sources.postgres.wal_summaries import Stretch


def stretches(history: Sequence[Fork], timeline: int, start: Stretch, end: int) -> list[Stretch] | None:
    """Return the parts of the log between two positions, oldest first.

    Args:
        history: Where the timelines before the current one ended, oldest first.
        timeline: The current timeline.
        start: Timeline and first position.
        end: Position beyond the last, on the current timeline.

    Returns:
        None if the first position is not in the history of the current timeline: on a branch that was left.
    """
    forks = {fork.timeline: fork.position for fork in history}
    forks[timeline] = end
    order = [*(fork.timeline for fork in history), timeline]
    if start.timeline not in order or start.start > forks[start.timeline]:
        return None
    found, at = [], start.start
    for each in order[order.index(start.timeline) :]:
        if forks[each] > at:
            found.append(Stretch(each, at, forks[each]))
            at = forks[each]
    return found
