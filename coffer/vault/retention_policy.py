"""How long points are kept: the keys of a policy file, which are also what the root signs."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from coffer.errors import UsageError

_Count = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
_PROOFS = ("none", "read-back", "drill")
_TEN_YEARS = 87_600


class RetentionPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """How many points of a service are kept, and how long what nothing names.

    What damages are known of fills no place: a damaged point counts only for `keep_days`.

    Attributes:
        keep_last: The newest so many.
        keep_days: The window: all of the last so many days, and the one before them, from which their first moments
            are reached. Objects of a point are locked for as long.
        keep_daily: The newest of each of so many days (UTC) that have one.
        keep_weekly: The newest of each of so many ISO weeks.
        keep_monthly: The newest of each of so many months.
        keep_yearly: The newest of each of so many years.
        keep_verified: The newest so many that were read back or drilled; the last one stays whatever this says.
        require_proof: What some point of the window must have passed before any point goes.
        grace_hours: How long an object that nothing names lies, and how long a mark stands, before it goes: a run in
            work may have put it. A run that takes longer than half of it is refused.
    """

    keep_last: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1
    keep_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 0
    keep_daily: _Count = 0
    keep_weekly: _Count = 0
    keep_monthly: _Count = 0
    keep_yearly: _Count = 0
    keep_verified: _Count = 1
    require_proof: Literal["none", "read-back", "drill"] = "read-back"
    grace_hours: Annotated[float, msgspec.Meta(gt=0, le=_TEN_YEARS)] = 24.0

    @property
    def grace(self) -> timedelta:
        """`grace_hours` as a duration."""
        return timedelta(hours=self.grace_hours)

    @property
    def window(self) -> timedelta:
        """`keep_days` as a duration."""
        return timedelta(days=self.keep_days)

    @classmethod
    def load(cls, path: Path) -> RetentionPolicy:
        """Read a TOML file.

        Raises:
            UsageError: It is absent, has an unknown key, or keeps nothing.
        """
        try:
            content = tomllib.loads(path.read_text())
        except OSError as error:
            raise UsageError(f"{path} cannot be read", detail=error.strerror or "") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} is not a retention policy", detail=str(error)) from error
        return cls.parse(content, str(path))

    @classmethod
    def parse(cls, content: Mapping[str, object], where: str) -> RetentionPolicy:
        """Take a policy from its keys.

        Args:
            content: Keys as a policy file has them.
            where: What to call their origin in an error.

        Raises:
            UsageError: A key is unknown or a value is none of its kind.
        """
        try:
            return msgspec.convert(dict(content), cls)
        except msgspec.ValidationError as error:
            raise UsageError(f"{where} is not a retention policy", detail=str(error)) from error

    @classmethod
    def signed(cls, content: Mapping[str, object]) -> RetentionPolicy:
        """Return the least that may be kept, as a configuration has it; one that says nothing asks for no proof.

        Raises:
            UsageError: A newer Coffer wrote it.
        """
        return cls.parse(content, "what the root signed") if content else UNSAID

    def as_keys(self) -> dict[str, int | float | str]:
        """Return the keys as a policy file has them."""
        keys: dict[str, int | float | str] = msgspec.to_builtins(self)
        return keys

    def at_least(self, other: RetentionPolicy) -> RetentionPolicy:
        """Return the policy that keeps what either keeps and is refused where either is."""
        mine, theirs = self.as_keys(), other.as_keys()
        proof = max(self.require_proof, other.require_proof, key=_PROOFS.index)
        counts = {key: max(mine[key], theirs[key]) for key in mine if key != "require-proof"}
        return RetentionPolicy.parse({**counts, "require-proof": proof}, "the stricter of two policies")


UNSAID = RetentionPolicy(keep_verified=0, require_proof="none")
"""What holds where the root has signed no policy: the newest point, and a day's grace."""
