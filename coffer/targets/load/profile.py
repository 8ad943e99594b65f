"""What a load is made of: requests with weights, read from a TOML file, so that nothing here knows any service."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coffer.errors import UsageError

_NAMESPACE = uuid.UUID("b1d4b0a4-3c0e-5a51-8f62-4a4b8b7f2f10")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_KEYS = {"name", "method", "path", "weight", "expect", "key-header", "json", "version"}


@dataclass(frozen=True)
class RequestKind:
    """One kind of request.

    Attributes:
        name: For reports.
        method: HTTP method.
        path: Path with `{n}` (a number), `{key}` or the name of a list of values.
        weight: How often, beside the others.
        expect: Status codes that are a correct answer.
        key_header: Header that carries a new id each time; such requests are reconciled with the database.
        json: Body; texts in it may hold the same placeholders.
        version: Its answer is JSON that names the version.
    """

    name: str
    path: str
    method: str = "GET"
    weight: int = 1
    expect: frozenset[int] = frozenset({200})
    key_header: str = ""
    json: Any = None
    version: bool = False


@dataclass(frozen=True)
class Prepared:
    """One request, ready to be sent."""

    kind: RequestKind
    path: str
    body: bytes | None
    key: str

    @property
    def headers(self) -> dict[str, str]:
        """Headers to send."""
        headers = {"Content-Type": "application/json"} if self.body is not None else {}
        if self.kind.key_header:
            headers[self.kind.key_header] = self.key
        return headers


@dataclass(frozen=True)
class Profile:
    """What a load is made of.

    Attributes:
        requests: Kinds of requests.
        values: Lists that placeholders choose from, in turn.
        version_header: Header that names the version that answered; empty if none does.
        version_field: Field of a JSON answer that does.
        websocket: Path of a WebSocket; empty for none.
    """

    requests: tuple[RequestKind, ...]
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    version_header: str = ""
    version_field: str = "version"
    websocket: str = ""

    def sequence(self, run: str) -> Iterator[Prepared]:
        """Yield requests without end, mixed by weight; the same run gives the same ids."""
        order = _interleaved(self.requests)
        for number, kind in enumerate(itertools.cycle(order)):
            key = str(uuid.uuid5(_NAMESPACE, f"{run}:{number}"))
            words = {name: options[number % len(options)] for name, options in self.values.items()}
            words |= {"n": str(number), "key": key}
            body = None if kind.json is None else json.dumps(_fill(kind.json, words)).encode()
            yield Prepared(kind, _fill(kind.path, words), body, key)


def load_profile(path: Path) -> Profile:
    """Read a profile.

    Raises:
        UsageError: It cannot be read or says something unknown.
    """
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"the load profile {path.name} cannot be read", detail=str(error)) from error
    _refuse_unknown(path, "", document, {"request", "values", "version", "websocket"})
    version, websocket = document.get("version", {}), document.get("websocket", {})
    _refuse_unknown(path, "version.", version, {"header", "field"})
    _refuse_unknown(path, "websocket.", websocket, {"path"})
    kinds = tuple(_kind(path, each) for each in document.get("request", ()))
    if not kinds:
        raise UsageError(f"the load profile {path.name} has no [[request]]")
    values = {name: tuple(map(str, options)) for name, options in document.get("values", {}).items()}
    return Profile(kinds, values, version.get("header", ""), version.get("field", "version"), websocket.get("path", ""))


def plain_profile(path: str) -> Profile:
    """Return a load of one GET."""
    return Profile((RequestKind(path, path),))


def _kind(path: Path, table: Mapping[str, Any]) -> RequestKind:
    _refuse_unknown(path, "request.", table, _KEYS)
    try:
        return RequestKind(
            name=str(table.get("name", table["path"])),
            path=str(table["path"]),
            method=str(table.get("method", "GET")),
            weight=int(table.get("weight", 1)),
            expect=frozenset(map(int, table.get("expect", (200,)))),
            key_header=str(table.get("key-header", "")),
            json=table.get("json"),
            version=bool(table.get("version", False)),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(f"a request in {path.name} is incomplete", detail=repr(error)) from error


def _refuse_unknown(path: Path, where: str, table: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(table) - known):
        raise UsageError(f"the load profile {path.name} has an unknown key", detail=where + unknown[0])


def _interleaved(kinds: tuple[RequestKind, ...]) -> list[RequestKind]:
    """Spread each kind evenly: no burst of one kind, whatever the weights."""
    slots = [((turn + 0.5) / kind.weight, index) for index, kind in enumerate(kinds) for turn in range(kind.weight)]
    return [kinds[index] for _, index in sorted(slots)]


def _fill(value: Any, words: Mapping[str, str]) -> Any:  # noqa: ANN401 — JSON in, JSON out
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: words.get(found[1], found[0]), value)
    if isinstance(value, Mapping):
        return {name: _fill(each, words) for name, each in value.items()}
    if isinstance(value, list):
        return [_fill(each, words) for each in value]
    return value
