"""What a verification found."""

from __future__ import annotations

from dataclasses import dataclass, field

from coffer.errors import CofferError, IntegrityError, NotThere, OutsideSystemError, Unreachable


def what_is_wrong(error: CofferError) -> str:
    """Return how a failed reading is reported: a store that does not answer says nothing about what it holds."""
    if isinstance(error, NotThere):
        return "missing"
    return "unreadable" if isinstance(error, OutsideSystemError) else "not genuine"


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

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.what}: {self.object} in {self.store or 'every store'} {self.detail}".rstrip()


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

    def __str__(self) -> str:
        """Return it in one line."""
        how = "opened and hashed" if self.opened else "compared with their names"
        found = f"{len(self.problems)} problems" if self.problems else "no problem"
        return f"{self.objects} objects, {self.bytes} bytes {how}; {len(self.points)} points whole, {found}"

    def add(self, store: str, name: str, what: str, detail: str = "") -> None:
        """Note a problem, once."""
        problem = Problem(store, name, what, detail)
        if problem not in self.problems:
            self.problems.append(problem)

    def raise_for_problems(self) -> None:
        """Raise unless everything is as it was written.

        Raises:
            IntegrityError: It names the first few objects.
            Unreachable: Some could not be read, and nothing was found in those that could.
        """
        shown = "; ".join(f"{each.object} {each.what} in {each.store or 'every store'}" for each in self.problems[:3])
        if self.problems and all(each.what == "unreadable" for each in self.problems):
            raise Unreachable(f"{len(self.problems)} objects could not be read", detail=shown, resolution="Try again")
        if self.problems:
            raise IntegrityError(f"{len(self.problems)} objects are not what was written", detail=shown)
