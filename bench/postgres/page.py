"""Tables of what was measured: on the terminal, and as `docs/measured-postgres.md`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from bench.postgres.results import Cell, Failure, Measurement, Results
from bench.postgres.rows import BACKUPS, FIRST_QUERY_TIMES, LAG_SECONDS, PEAK_BYTES, Row
from bench.vault.machine import machine_line
from bench.vault.report import Row as Line
from bench.vault.report import markdown_table
from bench.vault.results import NOISE

OURS = "coffer"
_WIDTH = 200
_SAME_CHANGE = "The same number of pages, 2,000, spread over the whole table, changes at each size.\n"
_HEAD = """\
# Recovery of PostgreSQL, measured

Written by `python -m bench postgres report … --write`; do not edit. Every number comes from one machine.
"""
_HOW = """\
## How

Each round begins with empty repositories. Every tool makes a full of the same state; then one row is updated in 0.1 %
of the large table's pages, spread at random, and every tool makes an incremental; likewise 1 % and 10 %. Then every
tool restores its full and its last incremental; then 64 segments of WAL are written, archived and fetched back one
command after the other, as PostgreSQL does, and the newest backup is restored and replayed over all of them. The order
of the tools is drawn anew for each row. Before each command: CHECKPOINT, a quiet machine, everything on disk, caches
dropped (the tools' own programs are cold too). The clock runs from the command's start to the end of the `syncfs` that
follows it; "first correct query" ends when the promoted server answers with the last row that was written. Cells are
medians [least–most]; what others used of the machine is measured, and loud measurements count only where no quiet one
exists (marked ~).

Every restored cluster of the first round, and every replayed one, was started, compared with the source by a hash
over every row, and looked at by pg_amcheck; segments were compared byte by byte. A tool that fails this is out.

The work is not equal everywhere. Coffer, pgBackRest and pg_basebackup check the checksum of every page they read,
restic and tar do not; only Coffer and pg_basebackup on 18 read WAL summaries. The segments of "tar, zstd, openssl" are
plain copies. restic has no part in WAL. pgBackRest's wait for its WAL in the archive is in its backups, as is
Coffer's proof that the WAL of a backup is in the vault.
"""


def table_of(results: Results, value: str) -> tuple[tuple[str, ...], list[Line]]:
    """Return head and rows of a table: a column for each tool.

    Args:
        results: The measurements.
        value: `seconds`, `cpu`, `stored` or `peak`.
    """
    subjects = results.subjects()
    show, rows = _SHOWN[value]
    lines = []
    for row in rows:
        cells = [results.cell(tool, major, row) for tool, major in subjects]
        if any(cells):
            goal = (_goal(row, value),) if value in ("seconds", "stored") else ()
            lines.append(Line((row.label, *("–" if cell is None else show(cell) for cell in cells), *goal)))
    head = ("work", *(f"{tool}, PG {major}" for tool, major in subjects))
    return (*head, "goal") if value in ("seconds", "stored") else head, lines


def verdicts(results: Results) -> list[str]:
    """Return a line for each goal: met or missed."""
    said = []
    for tool, major in results.subjects():
        if tool != OURS:
            continue
        for row in Row:
            cell = results.cell(OURS, major, row)
            if cell is None:
                continue
            seconds = cell.median(_seconds)
            if (goal := row.goal) is not None:
                said.append(_verdict(f"{row.label}, PG {major}", seconds, goal.seconds(major), "s"))
                if goal.stored is not None:
                    stored = cell.median(_stored)
                    said.append(_verdict(f"{row.label} stored, PG {major}", stored, goal.stored, "MB"))
            elif peer := _best_peer(results, row):
                times = peer[1] / seconds
                met = "met" if times >= FIRST_QUERY_TIMES else "missed"
                faster = f"{times:.2f}× as fast as the best peer, {peer[0]}"
                said.append(f"{row.label}, PG {major}: {faster} (≥ {FIRST_QUERY_TIMES:g}×: {met})")
        if found := results.extras.get(f"lag-{major}"):
            worst = max(each["p99"] for each in found)
            said.append(_verdict(f"streaming lag p99, PG {major}", worst, LAG_SECONDS, "s"))
    if ours := [each.peak for each in results.measurements if each.tool == OURS]:
        said.append(_verdict("peak memory", max(ours) / (1 << 20), PEAK_BYTES >> 20, "MiB"))
    return said


def growth_table(results: Results) -> tuple[tuple[str, ...], list[Line]]:
    """Return the table of an incremental's growth; no rows where it was not measured."""
    lines = []
    for key in sorted(results.extras):
        if not key.startswith("growth-"):
            continue
        for each in results.extras[key]:
            least, most = each["spread"]
            lines.append(
                Line(
                    (
                        f"PostgreSQL {key.removeprefix('growth-')}, {each['bytes'] / 1e9:g} GB",
                        f"{each['full']:.1f}",
                        f"{each['incremental']:.2f} [{least:.2f}–{most:.2f}]",
                        f"{each['stored'] / 1e6:.1f}",
                        f"{each['peak'] >> 20}",
                    )
                )
            )
    return ("cluster", "full s", "incremental s", "MB stored by it", "peak MiB"), lines


def write_page(every: Sequence[Results]) -> str:
    """Return the page."""
    parts = [_HEAD]
    for results in every:
        header = results.header
        if results.measurements:
            parts += ["## Coffer and its peers\n"]
            parts += [f"- PostgreSQL {major}: {said}." for major, said in header.get("clusters", {}).items()]
            parts.append("")
            for value, title in _TITLES.items():
                parts += [f"### {title}\n", markdown_table(*table_of(results, value)) + "\n"]
            parts += ["### Goals\n", *(f"- {line}" for line in verdicts(results))]
            parts += [f"- {line}" for line in notes(results)]
        head, lines = growth_table(results)
        if lines:
            parts += ["## Growth of an incremental\n", _SAME_CHANGE, markdown_table(head, lines) + "\n"]
        parts += [f"- FAILED: {_failure(each)}" for each in results.failures]
        parts.append(f"- Measured {header['started']} by `{header['command']}`.")
        parts.append(f"- {machine_line(header['machine'])}.\n")
    return "\n".join([*parts, _HOW])


def notes(results: Results) -> list[str]:
    """Return what has to be said about noise and versions."""
    loud = sum(not each.quiet for each in results.measurements)
    count = len(results.measurements)
    said = [f"{count} measurements; {loud} had more than {NOISE:.0%} of the machine used by others."]
    return said + [f"{name}: {what}." for name, what in results.extras.get("settings", {}).items()]


def print_report(results: Results, console: Console) -> None:
    """Print everything as tables."""
    console.width = max(console.width, _WIDTH)
    for value, title in _TITLES.items():
        head, lines = table_of(results, value)
        if lines:
            _print_table(console, title, head, lines)
    head, lines = growth_table(results)
    if lines:
        _print_table(console, "growth of an incremental", head, lines)
    for line in (*verdicts(results), *(notes(results) if results.measurements else ())):
        console.print(line, soft_wrap=True)
    for failure in results.failures:
        console.print(f"FAILED: {_failure(failure)}", soft_wrap=True)


def _print_table(console: Console, title: str, head: Sequence[str], lines: Sequence[Line]) -> None:
    table = Table(title=title)
    for index, column in enumerate(head):
        table.add_column(column, justify="left" if index == 0 else "right")
    for line in lines:
        table.add_row(*line.cells)
    console.print(table)


def _failure(each: Failure) -> str:
    return f"{each.tool} on {each.major}, {each.row}, round {each.round}: {each.error}"


def _goal(row: Row, value: str) -> str:
    if (goal := row.goal) is None:
        return f"≥ {FIRST_QUERY_TIMES:g}× the best peer" if value == "seconds" else ""
    if value == "stored":
        return "" if goal.stored is None else f"≤ {goal.stored:g}"
    return f"≤ {goal.new:g}" + (f" ({goal.old:g} on 15)" if goal.old != goal.new else "")


def _best_peer(results: Results, row: Row) -> tuple[str, float] | None:
    peers = [
        (cell.median(_seconds), f"{tool} on {major}")
        for tool, major in results.subjects()
        if tool != OURS and (cell := results.cell(tool, major, row)) is not None
    ]
    return (min(peers)[1], min(peers)[0]) if peers else None


def _verdict(what: str, value: float, limit: float, unit: str) -> str:
    return f"{what}: {value:.2f} {unit} (≤ {limit:g}: {'met' if value <= limit else 'missed'})"


def _seconds(each: Measurement) -> float:
    return each.seconds


def _stored(each: Measurement) -> float:
    return each.stored / 1e6


def _spread(value: Callable[[Measurement], float]) -> Callable[[Cell], str]:
    def show(cell: Cell) -> str:
        least, most = cell.spread(value)
        return f"{'~' if cell.noisy else ''}{cell.median(value):.2f} [{least:.2f}–{most:.2f}]"

    return show


_SHOWN: dict[str, tuple[Callable[[Cell], str], Sequence[Row]]] = {
    "seconds": (_spread(_seconds), tuple(Row)),
    "stored": (_spread(_stored), BACKUPS),
    "cpu": (lambda cell: f"{cell.median(lambda each: each.cpu):.1f}", tuple(Row)),
    "peak": (lambda cell: f"{max(each.peak for each in cell.used) >> 20}", tuple(Row)),
}
_TITLES = {"seconds": "Seconds", "stored": "MB stored", "cpu": "Processor seconds", "peak": "Peak MiB"}
