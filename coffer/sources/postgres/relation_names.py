"""What people call the relation that a file belongs to."""

from __future__ import annotations

import os
from collections.abc import Iterable

from coffer.errors import OutsideSystemError
from coffer.sources.postgres import relation_files
from coffer.sources.postgres.local_cluster import LocalCluster
from coffer.sources.postgres.relation_files import DEFAULT_TABLESPACE, RelationFile

_DATABASES = "SELECT oid::bigint, datname, datname = current_database() FROM pg_database"
_NAME = "SELECT pg_filenode_relation(%s, %s)::regclass::text"


def relation_names(cluster: LocalCluster, paths: Iterable[bytes]) -> dict[bytes, str]:
    """Return `DATABASE: SCHEMA.RELATION (FILE)` by file; of databases other than the session's the file only."""
    wanted = [(path, relation) for path in sorted(paths) if (relation := relation_files.parse(path))]
    if not wanted:
        return {}
    databases = {oid: (name, mine) for oid, name, mine in cluster.query(_DATABASES)}
    found = {}
    for path, relation in wanted:
        file = os.fsdecode(path)
        database, mine = databases.get(relation.database, ("shared", True))
        name = _name(cluster, relation) if mine else ""
        fork = "" if relation.fork == "main" else f" {relation.fork}"
        found[path] = f"{database}: {name}{fork} ({file})" if name else f"{database}: {file}"
    return found


def _name(cluster: LocalCluster, relation: RelationFile) -> str:
    tablespace = 0 if relation.tablespace == DEFAULT_TABLESPACE else relation.tablespace
    try:
        [(name,)] = cluster.query(_NAME, tablespace, relation.number)
    except OutsideSystemError:  # its catalogue may be what is damaged
        return ""
    return name or ""
