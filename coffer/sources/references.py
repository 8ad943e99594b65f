"""What an environment's references resolve to, as a source: the secrets without which a service cannot start again.

Blocks, variables and files go with the host that a disaster takes. In a point they are sealed as everything is; the
vault's own reference is left out, for whoever reads this has opened the vault.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from coffer.environments import load
from coffer.environments.model import Environment
from coffer.environments.references import Reference, resolve
from coffer.vault.capture import Entry, EntryType, Fact, Kind, Parent, SourceSink

FILE = "references.json"


class ReferencesSource:
    """Resolves what an environment file refers to, and keeps the answers.

    Args:
        name: Name inside the point.
        path: The environment file.
    """

    kind = "references"

    def __init__(self, name: str, path: Path) -> None:
        self.name, self._path = name, path

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        """Push one file; raises as `resolve` does."""
        answers = {
            reference.key: resolve(Reference.parse(reference.key)) for reference in wanted(load(str(self._path)))
        }
        content = json.dumps(answers, indent=1, sort_keys=True).encode()
        moment = int(datetime.now(UTC).timestamp() * 1e9)
        entry = Entry(path=FILE.encode(), type=EntryType.FILE, mode=0o600, mtime_ns=moment, uid=0, gid=0)
        sink.add_file(entry, [content])
        names: list[Fact] = [*sorted(answers)]
        return {"kind": Kind.FULL.value, "references": names}


def wanted(environment: Environment) -> list[Reference]:
    """Return the references that a service needs to run and to be led to, each key once."""
    texts = [*environment.service.secrets.values(), *environment.target.hosts, environment.release.registry]
    if environment.release.database:
        texts.append(environment.release.database)
    found = {reference.key: reference for reference in map(Reference.parse, texts)}
    return [found[key] for key in sorted(found)]
