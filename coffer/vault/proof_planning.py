"""What to read back next: a pure choice over what was read when. Newest risk first, and all of it within some days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_AHEAD = 3 / 4
"""Part of the time after which a pack is read again, so that a budget has some days to catch up before it is late."""


@dataclass(frozen=True)
class ReadablePoint:
    """A point as the plan sees it.

    Attributes:
        key: What stands for it.
        started: When its capture began.
        packs: Packs that it needs, by id, with their sizes.
        proven: It has passed once, and still stands.
        damaged: It is known to be damaged: last in line, for reading it again tells nothing new.
    """

    key: str
    started: datetime
    packs: Mapping[bytes, int]
    proven: bool = False
    damaged: bool = False


@dataclass(frozen=True)
class ReadingPlan:
    """What to read now.

    Attributes:
        points: Keys of the points to verify, newest first.
        packs: Packs to open for them; the others were read not long ago.
        size: Their size, one store counted.
        fresh: Packs that were read within the time asked for: with `packs`, what counts as proven afterwards.
        late: Packs beyond the budget that were not read within the time asked for.
        late_size: Their size.
    """

    points: tuple[str, ...]
    packs: frozenset[bytes]
    size: int
    fresh: frozenset[bytes]
    late: int
    late_size: int


def plan_reading(
    points: Sequence[ReadablePoint],
    read_at: Mapping[bytes, datetime],
    now: datetime,
    within: timedelta,
    budget: int | None = None,
) -> ReadingPlan:
    """Choose: packs never read first, those of the newest points before others, then those read longest ago.

    Args:
        points: All points.
        read_at: When each pack was last read whole.
        now: The time.
        within: How long ago a pack may have been read at most.
        budget: Bytes to read, one store counted; at least one pack is chosen, however large. None sets no limit.
    """
    newest_first = sorted(points, key=lambda each: (each.damaged, -each.started.timestamp(), each.key))
    sizes: dict[bytes, int] = {}
    for point in newest_first:
        for pack, size in sorted(point.packs.items()):
            sizes.setdefault(pack, size)  # in order of risk: a pack belongs to the newest whole point that needs it
    never = [pack for pack in sizes if pack not in read_at]
    aging = sorted((pack for pack in sizes if pack in read_at), key=lambda pack: read_at[pack])
    due = [*never, *(pack for pack in aging if now - read_at[pack] >= within * _AHEAD)]
    chosen = _within_budget(due, sizes, budget)
    fresh = frozenset(pack for pack in aging if now - read_at[pack] < within)
    late = [pack for pack in due if pack not in chosen and pack not in fresh]
    return ReadingPlan(
        points=_points_for(newest_first, chosen, fresh),
        packs=chosen,
        size=sum(sizes[pack] for pack in chosen),
        fresh=fresh,
        late=len(late),
        late_size=sum(sizes[pack] for pack in late),
    )


def _within_budget(due: Sequence[bytes], sizes: Mapping[bytes, int], budget: int | None) -> frozenset[bytes]:
    chosen: list[bytes] = []
    left = budget
    for pack in due:
        if left is not None:
            if chosen and sizes[pack] > left:
                break
            left -= sizes[pack]
        chosen.append(pack)
    return frozenset(chosen)


def _points_for(
    newest_first: Sequence[ReadablePoint], chosen: frozenset[bytes], fresh: frozenset[bytes]
) -> tuple[str, ...]:
    """Return the points through which the chosen packs are opened, and those that need no more than a look to pass."""
    wanted: list[str] = []
    opened: set[bytes] = set()
    for point in newest_first:
        mine = chosen & point.packs.keys()
        passes = not point.proven and not point.damaged and point.packs.keys() <= chosen | fresh
        if passes or not mine <= opened:
            wanted.append(point.key)
            opened |= mine
    return tuple(wanted)
