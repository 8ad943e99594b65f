"""A connection string taken apart: what programs may be told on their command line, and what they may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from coffer.errors import NotAllowed, Unreachable, UsageError

_SECRETS = {"password": "PGPASSWORD", "sslpassword": "PGSSLPASSWORD"}
_CONNECT_SECONDS = 30
_OWN = "jobs"


@dataclass(frozen=True)
class Connection:
    """How a database is reached.

    Attributes:
        public: The connection string without secrets: it may stand in an argument list.
        environment: The secrets, as variables that libpq reads.
        jobs: How many connections dump at once.
        full: The whole string. Holds a password: never print it.
    """

    public: str
    environment: Mapping[str, str]
    jobs: int
    full: str

    @classmethod
    def parse(cls, text: str, jobs: int) -> Connection:
        """Read a connection string or URI, with `jobs=N` among libpq's own options.

        Raises:
            UsageError: It is none, or asks for no sensible number of jobs.
        """
        text, said = _split_jobs(text)
        try:
            options = conninfo_to_dict(text)
        except psycopg.ProgrammingError as error:
            raise UsageError("That is no connection string", detail=type(error).__name__) from None
        if said and not (said.isdigit() and 0 < int(said) <= 64):
            raise UsageError("That is no number of jobs", detail=said, resolution="Use jobs=1 to jobs=64")
        options.setdefault("connect_timeout", str(_CONNECT_SECONDS))
        secrets = {_SECRETS[key]: str(options[key]) for key in _SECRETS if options.get(key)}
        public = {key: value for key, value in options.items() if key not in _SECRETS}
        return cls(make_conninfo("", **public), secrets, int(said or jobs), make_conninfo("", **options))

    @property
    def secrets(self) -> list[str]:
        """Values that must not appear in errors."""
        return list(self.environment.values())

    def open(self) -> psycopg.Connection[tuple[object, ...]]:
        """Connect.

        Raises:
            NotAllowed: The role or its password is refused.
            Unreachable: No server there.
        """
        try:
            return psycopg.connect(self.full, autocommit=True)
        except psycopg.OperationalError as error:
            detail = _without(str(error).strip(), self.secrets)
            if (error.sqlstate or "").startswith("28") or "authentication failed" in detail:
                raise NotAllowed("PostgreSQL refuses this role", detail=detail) from None
            raise Unreachable("PostgreSQL cannot be reached", detail=detail) from None


def _split_jobs(text: str) -> tuple[str, str]:
    """Take `jobs=N` out, which libpq would refuse."""
    if "://" in text:
        place, _, query = text.partition("?")
        options = [each for each in query.split("&") if each]
        kept = [each for each in options if not each.startswith(f"{_OWN}=")]
        said = [each.partition("=")[2] for each in options if each not in kept]
        return place + ("?" + "&".join(kept) if kept else ""), said[-1] if said else ""
    words = text.split()
    said = [each.partition("=")[2] for each in words if each.startswith(f"{_OWN}=")]
    if not said:
        return text, ""
    return " ".join(each for each in words if not each.startswith(f"{_OWN}=")), said[-1]


def _without(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "[secret]")
    return text
