"""As much of cron as schedules need that must not meet: minute, hour, day of month, month, day of week."""

from __future__ import annotations

from dataclasses import dataclass, replace

from coffer.errors import UsageError

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_NAMES = ("minute", "hour", "day of month", "month", "day of week")
_HOUR, _WEEKDAY = 1, 4


@dataclass(frozen=True)
class Cron:
    """A cron expression with five fields of numbers.

    Attributes:
        fields: The five fields as they were written.
    """

    fields: tuple[str, str, str, str, str]

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read an expression.

        Raises:
            UsageError: It has not five fields, or one of them is no list of numbers, ranges and steps.
        """
        words = text.split()
        if len(words) != len(_RANGES):
            raise UsageError(f"'{text}' is not a cron expression", detail="it needs five fields")
        cron = cls((words[0], words[1], words[2], words[3], words[4]))
        for place in range(len(_RANGES)):
            cron.values(place)
        return cron

    def values(self, place: int) -> frozenset[int]:
        """Return the numbers that a field stands for; Sunday is 0."""
        found: set[int] = set()
        for part in self.fields[place].split(","):
            found |= _expand(part, place)
        return frozenset(value % 7 for value in found) if place == _WEEKDAY else frozenset(found)

    def __str__(self) -> str:
        """Return the form that `parse` reads."""
        return " ".join(self.fields)

    def with_values(self, place: int, values: frozenset[int]) -> Cron:
        """Return the same schedule with other numbers in one field."""
        if values == self.values(place):
            return self
        fields = list(self.fields)
        fields[place] = _spell(values)
        return replace(self, fields=(fields[0], fields[1], fields[2], fields[3], fields[4]))


def without(cron: Cron, other: Cron) -> list[Cron]:
    """Return what is left of a schedule when the moments of another are taken out, in as few expressions as it needs.

    Schedules of another minute never meet. Days of the month and months are only compared where neither names any:
    cron joins days of month and week by OR, so nothing may be taken out of those, and both stay as they are.
    """
    if cron.values(0) != other.values(0) or cron.fields[2:4] != ("*", "*") or other.fields[2:4] != ("*", "*"):
        return [cron]
    hours = cron.values(_HOUR) & other.values(_HOUR)
    days = cron.values(_WEEKDAY) & other.values(_WEEKDAY)
    if not hours or not days:
        return [cron]
    rest = []
    if other_hours := cron.values(_HOUR) - hours:
        rest.append(cron.with_values(_HOUR, other_hours))
    if other_days := cron.values(_WEEKDAY) - days:
        rest.append(cron.with_values(_HOUR, hours).with_values(_WEEKDAY, other_days))
    return rest


def _expand(part: str, place: int) -> set[int]:
    low, high = _RANGES[place]
    span, _, step = part.partition("/")
    first, _, last = (str(low), "", str(high)) if span == "*" else span.partition("-")
    last = last or (str(high) if step else first)
    if not (first.isdecimal() and last.isdecimal() and (step or "1").isdecimal() and int(step or 1) > 0):
        raise UsageError(f"'{part}' is no {_NAMES[place]} of a cron expression", resolution="Use numbers: 2, 1-6, */4")
    if not low <= int(first) <= int(last) <= high:
        raise UsageError(f"'{part}' is no {_NAMES[place]}", detail=f"it goes from {low} to {high}")
    return set(range(int(first), int(last) + 1, int(step or 1)))


def _spell(values: frozenset[int]) -> str:
    ordered, parts = sorted(values), []
    start = previous = ordered[0]
    for value in [*ordered[1:], None]:
        if value is not None and value == previous + 1:
            previous = value
            continue
        parts.append(
            str(start)
            if start == previous
            else f"{start}-{previous}"
            if previous - start > 1
            else f"{start},{previous}"
        )
        if value is not None:
            start = previous = value
    return ",".join(parts)
