"""What a verification found."""

from __future__ import annotations

from dataclasses import dataclass, field

from coffer.errors import IntegrityError


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it was written.

    Attributes:
        store: Address of the store; empty where no store is right.
        object: Its name.
        what: `damaged`, `missing`, `hidden` (a delete marker stands over it), `unreadable`, `stray`, `not genuine`.
        detail: More about it.
    """

    store: str
    object: str
    what: str
    detail: str = ""


@dataclass
class VerifyReport:
    """What was proven.

    Attributes:
        objects: Objects looked at, each store counted.
        bytes: Bytes read.
        points: Points that are whole in every store that was looked at.
        problems: What is not as it was written.
        opened: Whether contents were decrypted and hashed, not only looked at as they rest.
    """

    objects: int = 0
    bytes: int = 0
    points: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    opened: bool = False

    @property
    def ok(self) -> bool:
        """Whether everything is as it was written."""
        return not self.problems

    def add(self, store: str, name: str, what: str, detail: str = "") -> None:
        """Note a problem, once."""
        problem = Problem(store, name, what, detail)
        if problem not in self.problems:
            self.problems.append(problem)

    def raise_for_problems(self) -> None:
        """Raise unless everything is as it was written.

        Raises:
            IntegrityError: It names the first few objects.
        """
        if self.problems:
            shown = "; ".join(
                f"{each.object} {each.what} in {each.store or 'every store'}" for each in self.problems[:3]
            )
            raise IntegrityError(f"{len(self.problems)} objects are not what was written", detail=shown)
