"""Runs the cases: back up, archive, then for each case restore, harm, recover, look."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.fail_stop import bed
from bench.fail_stop.cases import Case, Outcome
from bench.fail_stop.side import Side, harm, switched
from tests.services.command_bridge import CommandBridge

_CHOSEN = 2
"""Which of the segments is the first that does not come; four more follow it."""


def run_cases(
    make: Callable[[Path, bed.SmallServer], Side], folder: Path, major: int, cases: Iterable[Case]
) -> tuple[str, dict[Case, Outcome]]:
    """Return a tool's name, and what PostgreSQL did in each case.

    Args:
        make: Makes the tool with its archive in a folder.
        folder: To work in; every account may walk into it.
        major: Version of PostgreSQL.
        cases: Which.
    """
    with bed.running(folder, major) as (server, collected):
        own = folder / "tool"
        own.mkdir(mode=0o755)
        side = make(own, server)
        side.back_up(server)
        segments = bed.fill(server, collected)
        side.archive(collected, sorted(path.name for path in collected.iterdir() if len(path.name) == 24))
        user = server.user
    return side.name, {case: _one(side, case, segments, folder / case.name.lower(), major, user) for case in cases}


def _one(side: Side, case: Case, segments: Sequence[str], folder: Path, major: int, user: str) -> Outcome:
    folder.mkdir(mode=0o755)
    data, chosen = folder / "data", segments[_CHOSEN]
    line = switched(side, case, chosen, folder / "switch.sh")
    kept = {path: path.read_bytes() for name in segments for path in side.objects(name)}
    with CommandBridge(folder / "bridge", user, line, data, apart=side.apart) as bridge:
        side.restore(data, bridge.setting)
        owners = {path: path.stat() for path in kept}
        harm(side, case, segments, chosen)
        try:
            promoted, missing = bed.recover(data, major, {})
        finally:
            for path, content in kept.items():
                path.unlink(missing_ok=True)
                path.write_bytes(content)
                path.chmod(owners[path].st_mode & 0o777)
                shutil.chown(path, owners[path].st_uid, owners[path].st_gid)
    shutil.rmtree(data)
    return bed.outcome(promoted, missing, bridge.calls, list(segments))
