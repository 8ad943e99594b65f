"""What each fault test shows, written beside it; docs/faults.md is made from this, and each test is held to it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from coffer.errors import CofferError

_seen: set[type[CofferError]] = set()


@dataclass(frozen=True)
class Outcome:
    """One row of the table.

    Attributes:
        fault: What happens.
        errors: Exactly the errors that come of it; none where the work goes on.
        stays: What is true all the same.
    """

    fault: str
    errors: tuple[type[CofferError], ...]
    stays: str


def shows(fault: str, *errors: type[CofferError], stays: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Say what a test shows; it fails unless `refused` saw exactly these errors."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def held(*arguments: Any, **named: Any) -> None:
            _seen.clear()
            test(*arguments, **named)
            assert _seen == set(errors), f"refused with {_names(_seen)}, the table says {_names(set(errors))}"

        held.outcome = Outcome(fault, errors, stays)  # type: ignore[attr-defined]
        return held

    return decorate


@contextmanager
def refused(naming: str = "", *, about: object = "") -> Iterator[list[CofferError]]:
    """Expect one clear error, in one line, that names an object or a thing; it lies in the list afterwards.

    Args:
        naming: What the line must contain.
        about: What was done, for when nothing is refused.
    """
    caught: list[CofferError] = []
    try:
        yield caught
    except CofferError as error:
        caught.append(error)
    assert caught, f"nothing was refused {about}"
    line = str(caught[0])
    assert "\n" not in line
    assert naming in line, f"{naming!r} is not named: {line}"
    _seen.add(type(caught[0]))


def saw(error: CofferError | None) -> None:
    """Count an error that was met in another way than by `refused`."""
    if error is not None:
        _seen.add(type(error))


def _names(errors: set[type[CofferError]]) -> list[str]:
    return sorted(error.__name__ for error in errors)
