"""One tree of errors. Each says what failed, why, and what to do next.

The categories are a stable contract: scripts match on them, and each has the exit code that
contract.md gives it. Raise the most exact class; `resolution` is what the reader types or
changes next.
"""

from __future__ import annotations

from typing import Any, ClassVar


class CofferError(Exception):
    """Root of everything Coffer raises on purpose.

    Args:
        summary: What failed, in one line without a full stop's worth of context.
        detail: Why, with the names and numbers involved.
        resolution: What the reader can do about it.
    """

    category: ClassVar[str] = "unexpected"
    exit_code: ClassVar[int] = 1

    def __init__(self, summary: str, *, detail: str = "", resolution: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.detail = detail
        self.resolution = resolution

    def __str__(self) -> str:
        """Return everything in one line, for logs and terminals."""
        text = self.summary
        if self.detail:
            text += f": {self.detail}"
        if self.resolution:
            text += f". {self.resolution}"
        return " ".join(text.split())

    def __reduce__(self) -> tuple[object, ...]:
        """Survive pickling: Prefect persists task states, failed ones included."""
        return (_rebuild, (type(self), self.summary, self.detail, self.resolution, dict(self.__dict__)))

    def as_dict(self) -> dict[str, object]:
        """Return the error as `--json` prints it."""
        return {
            "category": self.category,
            "summary": self.summary,
            "detail": self.detail,
            "resolution": self.resolution,
            "exit_code": self.exit_code,
        }


def _rebuild(
    kind: type[CofferError], summary: str, detail: str, resolution: str, state: dict[str, object]
) -> CofferError:
    error = kind.__new__(kind)
    CofferError.__init__(error, summary, detail=detail, resolution=resolution)
    error.__dict__.update(state)
    return error


class UsageError(CofferError):
    """The request itself is wrong: a bad option, file or value. Nothing was touched."""

    category = "usage"
    exit_code = 2


class EnvironmentFileError(UsageError):
    """An environment file has an unknown key, a wrong type or a missing part."""

    category = "environment-file"


class NoVault(CofferError):
    """There is no vault at that address."""

    category = "no-vault"
    exit_code = 10


class HeldByAnother(CofferError):
    """A lease, lock or fence belongs to another run."""

    category = "held"
    exit_code = 11


class WrongKey(CofferError):
    """The key, identity or passphrase does not open it."""

    category = "wrong-key"
    exit_code = 12


class IntegrityError(CofferError):
    """Bytes are not what was written: damaged, moved, replayed, forged or incomplete."""

    category = "integrity"
    exit_code = 13


class Forged(IntegrityError):
    """What its name says, but nobody who may sign it did: it was never part of the vault."""


class DamagedAtSource(IntegrityError):
    """The point is committed, but what it was taken from was damaged already: it is marked so.

    Attributes:
        point: The committed point; its class is the vault's, which no room below it may know.
    """

    point: Any = None

    category = "damaged-at-source"


class RefusedByPolicy(CofferError):
    """A gate, a retention rule or a rollout rule said no."""

    category = "policy"
    exit_code = 14


class UnsafeTarget(CofferError):
    """The place to write to is not empty, is another system, or is on another timeline."""

    category = "unsafe-target"
    exit_code = 15


class NotThere(CofferError):
    """A point, segment, object or image is proven to be absent."""

    category = "not-there"
    exit_code = 16


class OutsideSystemError(CofferError):
    """An outside system failed after retries."""

    category = "outside-system"
    exit_code = 17


class Unreachable(OutsideSystemError):
    """No answer: time-out, refused connection, 5xx. Says nothing about presence."""

    category = "unreachable"


class NotAllowed(OutsideSystemError):
    """The system answered that this identity may not do that."""

    category = "not-allowed"


class StoreFull(OutsideSystemError):
    """The store has no room left. What was being written does not exist."""

    category = "store-full"


class StepFailed(OutsideSystemError):
    """A step of a plan did not reach the state it promises (health, smoke test, soak)."""

    category = "step-failed"


class ApprovalError(CofferError):
    """An approval is missing, expired, void or not by someone who may give it."""

    category = "approval"
    exit_code = 18


class Rejected(ApprovalError):
    """Somebody who may do so said no."""

    category = "rejected"


class NotInEveryStore(CofferError):
    """The point is committed, but at least one store does not have it yet.

    Attributes:
        point: The committed point; its class is the vault's, which no room below it may know.
        lacking: Addresses of the stores that do not have it.
    """

    point: Any = None
    lacking: tuple[str, ...] = ()

    category = "not-in-every-store"
    exit_code = 19


class Interrupted(CofferError):
    """The person or the system ended the command."""

    category = "interrupted"
    exit_code = 130
