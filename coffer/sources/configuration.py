"""Configuration as a source: environment files, Kubernetes manifests. Secrets are in it, sealed as everything is."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from coffer.errors import NotThere
from coffer.sources.files import FilesSource
from coffer.sources.files.attributes import entry_of
from coffer.sources.files.reading import blocks, open_file
from coffer.vault.capture import Fact, Kind, Parent, SourceSink

_MOST_NOTES = 100
_LARGEST_MANIFEST = 16 << 20
_MANIFESTS = (".yaml", ".yml", ".json")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ConfigurationSource:
    """Reads a folder, or one file.

    Args:
        name: Name inside the point.
        kind: `environment` or `manifests`.
        path: What to read.
        describe: Says what is worth remembering of a folder; content stays out of it.
    """

    reads_again = True

    def __init__(
        self, name: str, kind: str, path: Path, describe: Callable[[Path], Mapping[str, Fact]] = lambda _path: {}
    ) -> None:
        self.name = name
        self.kind = kind
        self._path = path
        self._describe = describe

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        """Push it; raises as `FilesSource.capture` does."""
        if self._path.is_file():
            return {**self._push_file(sink), **self._describe(self._path)}
        facts = FilesSource(self.name, self._path).capture(sink, kind, parent)
        return {**facts, **self._describe(self._path)}

    def _push_file(self, sink: SourceSink) -> dict[str, Fact]:
        path = bytes(self._path.absolute())
        descriptor = open_file(path)
        try:
            status = os.fstat(descriptor)
            sink.add_file(entry_of(os.fsencode(self._path.name), status), blocks(descriptor, status))
        finally:
            os.close(descriptor)
        return {"kind": Kind.FULL.value, "root": str(self._path.parent)}


def environment_files(name: str, path: Path) -> ConfigurationSource:
    """Return the source of environment files: a folder, or one of them.

    Raises:
        NotThere: There is nothing.
    """
    _exists(path)
    return ConfigurationSource(name, "environment", path)


def manifests(name: str, path: Path) -> ConfigurationSource:
    """Return the source of Kubernetes manifests.

    Raises:
        NotThere: There is nothing.
    """
    _exists(path)
    return ConfigurationSource(name, "manifests", path, describe_manifests)


def describe_manifests(path: Path) -> dict[str, Fact]:
    """Return what manifests declare: how many objects of each kind, and the images that they run.

    A file that does not read as YAML is kept as it is, like all others, and noted.
    """
    kinds: Counter[str] = Counter()
    images: set[str] = set()
    notes: list[Fact] = []
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.suffix in _MANIFESTS)
    for each in files:
        try:
            for document in _documents(each):
                kinds[str(document["kind"])] += 1
                images.update(images_in(document))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
            if len(notes) < _MOST_NOTES:
                notes.append(f"{each.name} does not read as a manifest: {type(error).__name__}")
    named: list[Fact] = [*sorted(images)]
    return {"objects": dict(sorted(kinds.items())), "images": named, **({"notes": notes} if notes else {})}


def images_in(value: object) -> Iterator[str]:
    """Walk the images that an object's containers run: whatever stands as `image` in a list of containers."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if str(key).lower().endswith("containers") and isinstance(inner, list):
                yield from (str(each["image"]) for each in inner if isinstance(each, Mapping) and each.get("image"))
            yield from images_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from images_in(inner)


def _documents(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.stat().st_size > _LARGEST_MANIFEST:
        return
    for document in yaml.load_all(path.read_text(), _Loader):
        found = document.get("items") if isinstance(document, Mapping) and "items" in document else [document]
        for each in found if isinstance(found, list) else []:
            if isinstance(each, Mapping) and isinstance(each.get("kind"), str):
                yield each


def _exists(path: Path) -> None:
    if not path.exists():
        raise NotThere("The configuration to back up is not there", detail=str(path))
