"""The page: a table of cases and outcomes, and how to read it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.fail_stop.bed import ROWS, SEGMENTS
from bench.fail_stop.cases import Case, Outcome

_HEAD = """\
# When the log cannot be brought

Made by `python -m bench fail-stop`. A cluster is backed up; then {rows} rows are committed over {segments} segments of
WAL, which are archived. Each case restores the backup, harms the archive from the third of these segments on, and
starts PostgreSQL with each tool's own `restore_command`, to recover to the end of the log. Looked at: does PostgreSQL
open for business, and how many committed rows does it lack then?

PostgreSQL takes every exit code from 1 to 125 for "the log ends here" and promotes. A tool that ends with such a code
because a key is wrong or a store does not answer turns a failure that a person could mend into a database that looks
whole and is not. `coffer wal fetch` says 1 only when every store said "not there" and nothing comes after; anything
else is 126, by which PostgreSQL stops: mend it, start again, nothing is lost.

"""
_TEMPORARY = re.compile(r"/tmp/[^/\s'\"]+")  # noqa: S108 - taken out of what is shown
_LONGEST = 220


def page(results: Sequence[tuple[str, int, dict[Case, Outcome]]]) -> str:
    """Return the page.

    Args:
        results: Tool, version of PostgreSQL, outcome of each case.
    """
    titles = [f"{name}, PostgreSQL {major}" for name, major, _ in results]
    lines = ["| from the third segment on | " + " | ".join(titles) + " |", "|---|" + "---|" * len(titles)]
    for case in Case:
        cells = [_cell(outcomes[case]) for _, _, outcomes in results]
        lines.append(f"| {case.value} | " + " | ".join(cells) + " |")
    said = ["", "What each said for the first segment that did not come:", ""]
    for title, (_, _, outcomes) in zip(titles, results, strict=True):
        said += [f"- {title}"]
        said += [f"  - {case.value}: exit {found.code}, `{_shown(found.said)}`"
                 for case, found in outcomes.items() if case is not Case.NOTHING]  # fmt: skip
    return _HEAD.format(rows=SEGMENTS * ROWS, segments=SEGMENTS) + "\n".join(lines + said) + "\n"


def _cell(found: Outcome) -> str:
    if not found.promoted:
        return "stops"
    return "opens, all rows there" if not found.missing else f"**opens, {found.missing} rows missing**"


def _shown(text: str) -> str:
    text = "".join(letter for letter in text if letter.isascii() and letter.isprintable())
    shown = _TEMPORARY.sub("…", text).replace("`", "'").replace("|", "/")
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
