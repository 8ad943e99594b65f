"""The table of sources: what `KIND:PLACE` means, on the command line and in environment files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from coffer.errors import UsageError
from coffer.vault.capture import Source

_SOURCE = re.compile(r"(?:(?P<name>[a-z0-9][a-z0-9_-]*)=)?(?P<kind>[a-z-]+):(?P<place>.+)", re.DOTALL)
_PASSWORD = re.compile(r"\bpassword\s*=|://[^/@]*:[^/@]*@")
_REFERENCES = ("env:", "file:", "block:")


@dataclass(frozen=True)
class SourceKind:
    """One row of the table.

    Attributes:
        form: How it is written, for people.
        rank: Its place in a cut: what a row of the database names must be read after the database.
        open: Makes the source from its name, its place and the folder that relative paths begin at.
    """

    form: str
    rank: int
    open: Callable[[str, str, Path], Source]


def parse_source(text: str, base: Path | None = None) -> Source:
    """Return the source that `[NAME=]KIND:PLACE` or `[NAME=]KIND:REFERENCE` names.

    Args:
        text: What was written.
        base: Folder that relative paths begin at; default: the working directory.

    Raises:
        UsageError: It is none, or a password stands in it.
        NotThere: A reference leads nowhere.
    """
    match = _SOURCE.fullmatch(text)
    row = SOURCES.get(match["kind"]) if match else None
    if match is None or row is None:
        known = ", ".join(each.form for each in SOURCES.values())
        raise UsageError("That is no source", detail=_without_password(text), resolution=f"Use one of {known}")
    return row.open(match["name"] or match["kind"], _place(match["place"]), base or Path())


def parse_sources(texts: Sequence[str], base: Path | None = None) -> list[Source]:
    """Return sources in the order of one cut; raises as `parse_source` does, and where two have one name."""
    sources = [parse_source(text, base) for text in texts]
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise UsageError("Two sources have the same name", resolution="Write NAME=SOURCE")
    return in_order(sources)


def in_order(sources: Sequence[Source]) -> list[Source]:
    """Sort sources as a cut reads them: databases, files, Redis, configuration, Prefect's database."""
    return sorted(sources, key=lambda source: SOURCES[source.kind].rank if source.kind in SOURCES else _FILES)


def _place(text: str) -> str:
    if text.startswith(_REFERENCES):
        from coffer.environments.references import resolve_text

        return resolve_text(text)
    if _PASSWORD.search(text):
        raise UsageError(
            "A password does not belong on the command line",
            resolution="Use PGPASSFILE or a service file, or a reference: env:NAME, file:PATH",
        )
    return text


def _without_password(text: str) -> str:
    return text if not _PASSWORD.search(text) else text.partition(":")[0] + ":…"


def _files(name: str, place: str, base: Path) -> Source:
    from coffer.sources.files import FilesSource

    return FilesSource(name, base / place)


def _postgres(name: str, place: str, base: Path) -> Source:
    from coffer.sources.postgres import PostgresSource

    return PostgresSource(name, place)


def _postgres_dump(name: str, place: str, base: Path) -> Source:
    from coffer.sources.postgres_dump import PostgresDumpSource

    return PostgresDumpSource(name, place)


def _rds(name: str, place: str, base: Path) -> Source:
    from coffer.sources.rds import RdsAddress, RdsSource

    return RdsSource(name, RdsAddress.parse(place))


def _redis(name: str, place: str, base: Path) -> Source:
    from coffer.sources.redis import RedisSource

    url, _, options = place.partition("?")
    given = parse_qs(options, keep_blank_values=True)
    diskless = given.pop("diskless", ["no"])[-1] in ("yes", "true", "1")
    rest = "&".join(f"{key}={value}" for key, values in given.items() for value in values)
    return RedisSource(name, f"{url}?{rest}" if rest else url, diskless=diskless)


def _kubernetes(name: str, place: str, base: Path) -> Source:
    from coffer.sources.kubernetes import KubernetesSource

    context, slash, namespace = place.rpartition("/")
    if not slash or not namespace:
        raise UsageError("That names no namespace", detail=place, resolution="Use kubernetes:CONTEXT/NAMESPACE")
    return KubernetesSource(name, context, namespace)


def _manifests(name: str, place: str, base: Path) -> Source:
    from coffer.sources.configuration import manifests

    return manifests(name, base / place)


def _environment(name: str, place: str, base: Path) -> Source:
    from coffer.sources.configuration import environment_files

    return environment_files(name, base / place)


def _references(name: str, place: str, base: Path) -> Source:
    from coffer.sources.references import ReferencesSource

    return ReferencesSource(name, base / place)


def _prefect(name: str, place: str, base: Path) -> Source:
    from coffer.sources import prefect_database

    if not prefect_database.is_sqlite(place):
        return _postgres_dump(name, prefect_database.libpq(place), base)
    return prefect_database.SqliteSource(name, prefect_database.sqlite_path(place))


_FILES = 20
SOURCES: Mapping[str, SourceKind] = {
    "postgres": SourceKind("postgres:CONNINFO", 10, _postgres),
    "postgres-dump": SourceKind("postgres-dump:CONNINFO", 10, _postgres_dump),
    "rds": SourceKind("rds:INSTANCE", 10, _rds),
    "files": SourceKind("files:PATH", _FILES, _files),
    "redis": SourceKind("redis:URL", 30, _redis),
    "kubernetes": SourceKind("kubernetes:CONTEXT/NAMESPACE", 40, _kubernetes),
    "manifests": SourceKind("manifests:PATH", 40, _manifests),
    "environment": SourceKind("environment:PATH", 40, _environment),
    "references": SourceKind("references:ENVIRONMENT-FILE", 40, _references),
    "prefect": SourceKind("prefect:URL", 50, _prefect),
}
