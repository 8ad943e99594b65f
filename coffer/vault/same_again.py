"""The records of a point that holds just what its parent holds: named from the parent's, with nothing counted anew.

Counting what a point uses of which chunk means to open every subtree and every index. Where a run shared each
subtree of each source and stored nothing, that would give what the parent's manifest and list say already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from coffer.vault import names, point_records
from coffer.vault.point_request import SourceSummary, WriterAccess
from coffer.vault.points import Manifest, SourceRecord
from coffer.vault.run_output import RunOutput
from coffer.vault.subtree_writer import Part


def is_same(output: RunOutput, parts: Mapping[str, list[Part]]) -> bool:
    """Tell whether a run's point holds what its base holds: the same subtrees of the same sources, nothing stored."""
    manifest = output.base.manifest
    return (
        manifest is not None
        and output.base.whole
        and not output.packer.added
        and not manifest.renew
        and len(manifest.index) < point_records.MOST_SEGMENTS
        and {source.name: source.trees for source in manifest.sources}
        == {name: [tree for tree, _ in mine] for name, mine in parts.items()}
    )


def name_again(access: WriterAccess, output: RunOutput, base: Manifest) -> None:
    """Name all that the base needs, but for its own list and the key of a run that stored nothing."""
    runs: set[bytes] = set()
    for name in output.base.listed:
        if name.startswith(names.RUN_KEYS):
            runs.add(bytes.fromhex(name.rpartition("/")[0].removeprefix(names.RUN_KEYS)))
        elif not name.startswith(f"{names.LISTS}/"):
            output.name_again(name)
    if not base.stored:
        runs.discard(base.run)
    point_records.name_run_keys(access, output, runs)


def source_records(
    base: Manifest, summaries: Iterable[SourceSummary], parts: Mapping[str, list[Part]]
) -> list[SourceRecord]:
    """Return the sources' records: the base's, with what this run did and remembered."""
    records = []
    for summary in summaries:
        before = base.source(summary.name)
        assert before is not None  # noqa: S101 - `is_same` compared the names
        looks = point_records.looks_of(parts[summary.name])
        records.append(msgspec.structs.replace(before, done=summary.done.value, facts=dict(summary.facts), looks=looks))
    return records
