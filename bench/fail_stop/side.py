"""What a tool must do here: archive, restore, fetch; and how its archive is harmed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bench.fail_stop.bed import SmallServer
from bench.fail_stop.cases import Case

_SWITCH = """\
# The second line is run for a segment that is not older than the chosen one.
if [ ${{#1}} -eq 24 ] && [ "$(printf '%s\\n' "$1" {segment} | LC_ALL=C sort | head -n 1)" = {segment} ]; then
  {bad}
else
  {good}
fi
"""


class Side(Protocol):
    """One tool with its archive of the source."""

    name: str
    apart: bool
    """Whether its commands run in a folder of their own account: see `CommandBridge`."""

    def back_up(self, server: SmallServer) -> None:
        """Take a full backup."""
        ...

    def archive(self, collected: Path, names: Sequence[str]) -> None:
        """Archive segments."""
        ...

    def restore(self, data: Path, command: str) -> None:
        """Restore the backup, to recover with a restore_command to the end of the log."""
        ...

    def line(self, case: Case) -> str:
        """Return the restore_command as the tool's manual has it, or as the case wants it."""
        ...

    def objects(self, segment: str) -> list[Path]:
        """Return the files that hold a segment."""
        ...


def harm(side: Side, case: Case, segments: Sequence[str], chosen: str) -> None:
    """Do to the archive what a case says, from one segment on."""
    if case is Case.HOLE:
        for path in side.objects(chosen):
            path.unlink()
    for segment in segments:
        if segment < chosen:
            continue
        for path in side.objects(segment):
            if case is Case.DENIED:
                path.chmod(0)
            elif case is Case.DAMAGED:
                content = bytearray(path.read_bytes())
                content[len(content) // 2] ^= 0x55
                path.write_bytes(content)


def switched(side: Side, case: Case, chosen: str, script: Path) -> str:
    """Return a line that does as the case wants from one segment on, and is right before."""
    if case not in (Case.WRONG_KEY, Case.UNREACHABLE):
        return side.line(case)
    lines = {key: line.replace('"%f"', '"$1"').replace('"%p"', '"$2"').replace("%f", '"$1"').replace("%p", '"$2"')
             for key, line in (("good", side.line(Case.NOTHING)), ("bad", side.line(case)))}  # fmt: skip
    script.write_text(_SWITCH.format(segment=chosen, **lines))
    script.chmod(0o755)
    return f'sh {shlex.quote(str(script))} "%f" "%p"'
