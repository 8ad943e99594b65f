"""`rds:INSTANCE?region=…&copy_region=…&copy_key=…`: which instance, and where its snapshots go."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from coffer.errors import UsageError

_INSTANCE = re.compile(r"[a-zA-Z](?:-?[a-zA-Z0-9])*")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
_OPTIONS = ("region", "copy_region", "copy_key", "profile", "endpoint")


@dataclass(frozen=True)
class RdsAddress:
    """Where an instance is.

    Attributes:
        instance: Its identifier.
        region: Its region.
        copy_region: Region that each snapshot is copied to, or None.
        copy_key: KMS key in that region for the copy; an encrypted snapshot needs one.
        profile: Profile to take credentials from.
        endpoint: Another address of the service than AWS's own.
    """

    instance: str
    region: str
    copy_region: str | None = None
    copy_key: str | None = None
    profile: str | None = None
    endpoint: str | None = None

    @classmethod
    def parse(cls, text: str) -> RdsAddress:
        """Read what follows `rds:`.

        Raises:
            UsageError: It names no instance, no region, or an unknown option.
        """
        instance, _, query = text.partition("?")
        options = dict(parse_qsl(query, keep_blank_values=True))
        if unknown := sorted(options.keys() - set(_OPTIONS)):
            raise UsageError(f"rds: has no option {unknown[0]}", resolution=f"There are {', '.join(_OPTIONS)}")
        if not _INSTANCE.fullmatch(instance):
            raise UsageError("That is no RDS instance", detail=instance, resolution="Use rds:INSTANCE?region=REGION")
        for key in ("region", "copy_region"):
            if options.get(key) and not _REGION.fullmatch(options[key]):
                raise UsageError("That is no region", detail=options[key])
        if not options.get("region"):
            raise UsageError("rds: needs its region", resolution="Use rds:INSTANCE?region=REGION")
        if options.get("copy_region") == options["region"]:
            raise UsageError("A copy in the same region survives nothing more", detail=options["region"])
        if options.get("copy_key") and not options.get("copy_region"):
            raise UsageError("copy_key needs copy_region")
        return cls(instance, **{key: value for key, value in options.items() if value})
