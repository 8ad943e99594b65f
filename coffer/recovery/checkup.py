"""Looks at everything that a recovery would need, each look with a time limit: a line for each, and what to do."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from coffer.environments import Environment
from coffer.errors import CofferError, OutsideSystemError, RefusedByPolicy
from coffer.recovery.access import IDENTITY_VARIABLE

_NAME = "look at "


class Verdict(StrEnum):
    """How something is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What one look found.

    Attributes:
        environment: Where.
        what: What was looked at.
        state: How it is.
        said: What was seen; never a secret.
        advice: What to do about it.
        code: Exit code that it deserves.
    """

    environment: str
    what: str
    state: Verdict
    said: str
    advice: str = ""
    code: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return {
            "environment": self.environment,
            "what": self.what,
            "state": self.state.value,
            "said": self.said,
            "advice": self.advice,
        }


class Looking:
    """One environment, and how looks at it report.

    Args:
        environment: What is looked at.
        identity: The identity's file, where this host is the escrow's.
    """

    def __init__(self, environment: Environment, identity: Path | None) -> None:
        self.environment, self.identity = environment, identity

    def ok(self, what: str, said: str) -> Finding:
        """Return that all is well."""
        return Finding(self.environment.name, what, Verdict.OK, said)

    def warn(self, what: str, said: str, advice: str) -> Finding:
        """Return what should be changed."""
        return Finding(self.environment.name, what, Verdict.WARN, said, advice)

    def fail(self, what: str, said: str, advice: str, code: int = RefusedByPolicy.exit_code) -> Finding:
        """Return what must be changed."""
        return Finding(self.environment.name, what, Verdict.FAIL, said, advice, code)

    def error(self, what: str, error: CofferError) -> Finding:
        """Return what kept a look from seeing anything."""
        code = OutsideSystemError.exit_code if isinstance(error, OutsideSystemError) else RefusedByPolicy.exit_code
        said = f"{error.summary}: {error.detail}" if error.detail else error.summary
        return self.fail(what, " ".join(said.split()), error.resolution, code)


Look = Callable[[Looking], Iterable[Finding]]


def examine(environment: Environment, *, identity: Path | None = None, limit: float = 15.0) -> list[Finding]:
    """Look at everything of an environment, all at once; none of it takes longer than the limit.

    Args:
        environment: What to look at.
        identity: The identity's file, where this host is the escrow's; default: $COFFER_IDENTITY.
        limit: Seconds that one look may take.
    """
    named = identity or (Path(os.environ[IDENTITY_VARIABLE]) if os.environ.get(IDENTITY_VARIABLE) else None)
    looking = Looking(environment, named)
    if environment.recovery is None:
        return [looking.warn("recovery", "nothing of it is protected", "Give its file a [recovery] if it holds data")]
    return run_looks(looking, _looks(), limit)


def run_looks(looking: Looking, looks: Iterable[tuple[str, Look]], limit: float) -> list[Finding]:
    """Run looks beside each other and return what they found, in their order."""
    started = [(what, _Attempt(looking, what, look)) for what, look in looks]
    found: list[Finding] = []
    deadline = time.monotonic() + limit
    for what, attempt in started:
        attempt.thread.join(max(0.0, deadline - time.monotonic()))
        if attempt.thread.is_alive():
            advice = "Look at the network to it, or raise --time-limit"
            found.append(looking.fail(what, f"no answer within {limit:g} s", advice, OutsideSystemError.exit_code))
        else:
            found += attempt.found
    return found


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0 if nothing failed, else 14, or 17 where nothing failed but what does not answer."""
    codes = [finding.code for finding in findings if finding.state is Verdict.FAIL]
    return min(codes, default=0)


def still_looking() -> bool:
    """Tell whether a look that took too long has not ended yet."""
    return any(thread.name.startswith(_NAME) for thread in threading.enumerate())


class _Attempt:
    """A look in a thread of its own, which a process that ends does not wait for."""

    def __init__(self, looking: Looking, what: str, look: Look) -> None:
        self._looking, self._what, self._look = looking, what, look
        self.found: list[Finding] = []
        self.thread = threading.Thread(target=self._run, name=f"{_NAME}{what}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        found: list[Finding] = []
        try:
            found += self._look(self._looking)
        except CofferError as error:
            found.append(self._looking.error(self._what, error))
        except Exception as error:  # one look that breaks must not hide what the others see
            found.append(
                self._looking.fail(self._what, f"unexpected {type(error).__name__}", "This is a bug in Coffer")
            )
        self.found = found


def _looks() -> list[tuple[str, Look]]:
    from coffer.recovery import checkup_service as service
    from coffer.recovery import checkup_vault as vault

    return [
        ("keys", vault.keys),
        ("stores", vault.stores),
        ("clock", vault.clock),
        ("log", vault.log),
        ("promises", vault.promises),
        ("slot", service.slot),
        ("disk", service.disk),
        ("schedules", service.schedules),
    ]
