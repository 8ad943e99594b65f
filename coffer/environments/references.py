"""References name secrets and addresses without holding them.

`env:NAME` is a variable of this process, `file:PATH` a TOML or JSON file or plain text (`$NAME` in the path is a
variable), `block:TYPE/NAME`
what an orchestrator keeps; a `#field` behind it takes one field of the answer. `block:` is resolved by whatever is
registered in the entry-point group `coffer.references`, so that the engine knows no orchestrator.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

from coffer.errors import NotThere, UsageError

ENTRY_POINT_GROUP = "coffer.references"
_SCHEMES = ("env", "file", "block")
_GIVEN: dict[str, object] = {}


@dataclass(frozen=True)
class Reference:
    """Where a value is kept.

    Attributes:
        scheme: `env`, `file` or `block`.
        place: Variable name, path, or `TYPE/NAME`.
        field: One field of the answer, or empty for all of it.
    """

    scheme: str
    place: str
    field: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read `SCHEME:PLACE[#FIELD]`.

        Raises:
            UsageError: It is not of that form.
        """
        scheme, colon, rest = text.partition(":")
        place, _, field = rest.partition("#")
        if not colon or scheme not in _SCHEMES or not place:
            raise UsageError(
                f"'{text}' is not a reference",
                resolution="Write env:NAME, file:PATH or block:TYPE/NAME, #field behind it",
            )
        if scheme == "block" and place.count("/") != 1:
            raise UsageError(f"'{text}' does not name a block", resolution="Write block:TYPE/NAME")
        return cls(scheme, place, field)

    @property
    def key(self) -> str:
        """What it names, without the field."""
        return f"{self.scheme}:{self.place}"

    def __str__(self) -> str:
        """Return the form that `parse` reads."""
        return self.key + (f"#{self.field}" if self.field else "")


def resolve(reference: Reference | str) -> object:
    """Return what a reference names: text, or a mapping for a structured one.

    Raises:
        UsageError: The reference is malformed, or nothing here can resolve its scheme.
        NotThere: The variable, file, block or field does not exist.
    """
    if isinstance(reference, str):
        reference = Reference.parse(reference)
    if reference.key in _GIVEN:
        value = _GIVEN[reference.key]
        return _field(value, reference) if reference.field else value
    value = {"env": _from_environment, "file": _from_file, "block": _from_block}[reference.scheme](reference)
    return _field(value, reference) if reference.field else value


@contextmanager
def given(values: Mapping[str, object]) -> Iterator[None]:
    """Answer some references with values at hand, by `Reference.key`: after a disaster nobody else answers them."""
    before = dict(_GIVEN)
    _GIVEN.update(values)
    try:
        yield
    finally:
        _GIVEN.clear()
        _GIVEN.update(before)


def resolve_mapping(reference: Reference | str) -> Mapping[str, object]:
    """Resolve a reference that must name something with fields.

    Raises:
        UsageError: It names a plain value.
    """
    value = resolve(reference)
    if not isinstance(value, Mapping):
        raise UsageError(f"{reference} is a plain value, not a set of fields")
    return cast("Mapping[str, object]", value)


def resolve_text(reference: Reference | str) -> str:
    """Resolve a reference that must name a text.

    Raises:
        UsageError: It names a set of fields.
    """
    value = resolve(reference)
    if not isinstance(value, str):
        raise UsageError(f"{reference} is not a text", resolution="Name one field of it with #field")
    return value


def _from_environment(reference: Reference) -> object:
    if reference.place not in os.environ:
        raise NotThere(f"the variable {reference.place} is not set", resolution=f"Set it; {reference} asks for it")
    return _structured(os.environ[reference.place])


def _from_file(reference: Reference) -> object:
    path = Path(os.path.expandvars(reference.place)).expanduser()
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        raise NotThere(f"{path} does not exist", resolution=f"{reference} asks for it") from error
    except OSError as error:
        raise NotThere(f"{path} cannot be read", detail=str(error)) from error
    if path.suffix == ".toml":
        return tomllib.loads(text)
    return _structured(text)


def _structured(text: str) -> object:
    if text.lstrip().startswith("{"):
        return json.loads(text)
    return text.strip()


def _from_block(reference: Reference) -> object:
    for point in entry_points(group=ENTRY_POINT_GROUP, name=reference.scheme):
        loader = cast("Callable[[str, str], object]", point.load())
        return loader(*reference.place.split("/"))
    raise UsageError(
        f"nothing here resolves {reference}",
        detail="no package registers 'block' in the entry-point group " + ENTRY_POINT_GROUP,
        resolution="Install Coffer with its Prefect rooms (make install), or use env: or file:",
    )


def _field(value: object, reference: Reference) -> object:
    if not isinstance(value, Mapping) or reference.field not in value:
        known = ", ".join(sorted(map(str, value))) if isinstance(value, Mapping) else "it is plain text"
        raise NotThere(f"{reference} has no field '{reference.field}'", detail=f"fields: {known}")
    return cast("object", value[reference.field])
