"""Tables of what was measured: on the terminal, and as a page for people to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.vault.machine import machine_line
from bench.vault.results import NOISE, Cell, Measurement, Results
from bench.vault.works import Work

OURS, PEER = "coffer", "restic"
_PEAK_GOAL = 400 << 20


@dataclass(frozen=True)
class Row:
    """One line of a table: a work by each tool.

    Attributes:
        cells: Title, then a cell for each column.
    """

    cells: tuple[str, ...]


def speed_rows(results: Results, workload: str, place: str) -> list[Row]:
    """Return seconds, ratio and goal of every work."""
    rows = []
    for work in Work:
        ours, peer = _pair(results, workload, place, work)
        if ours is None:
            continue
        ratio, verdict = "", ""
        if peer is not None:
            times = peer.median(_seconds) / ours.median(_seconds)
            ratio = f"{times:.2f}×"
            if (goal := work.goal) is not None:
                verdict = f"≥ {goal:g}×: {'met' if times >= goal else 'missed'}"
        rows.append(Row((work.label, _spread(ours, _seconds), _spread(peer, _seconds), ratio, verdict)))
    return rows


def cost_rows(results: Results, workload: str, place: str) -> list[Row]:
    """Return processor seconds, memory, bytes, objects and requests of every work."""
    rows = []
    for work in Work:
        ours, peer = _pair(results, workload, place, work)
        if ours is None:
            continue
        peer = peer if work.peer is work else None
        rows.append(
            Row(
                (
                    work.label,
                    _both(ours, peer, lambda cell: f"{cell.median(lambda each: each.cpu):.2f}"),
                    _both(ours, peer, _peak),
                    _both(ours, peer, lambda cell: f"{cell.median(lambda each: each.stored) / 1e6:.1f}"),
                    _both(ours, peer, lambda cell: f"{cell.median(lambda each: each.objects):.0f}"),
                    *([_both(ours, peer, _requests)] if place == "s3" else []),
                )
            )
        )
    return rows


SPEED_HEAD = ("work", "coffer s", "restic s", "restic ÷ coffer", "goal")
COST_HEAD = ("work", "CPU s", "peak MiB", "MB in the store", "objects")


def notes(results: Results, workload: str, place: str) -> list[str]:
    """Return the goals that have no ratio, and what has to be said about noise."""
    mine = [each for each in results.measurements if (each.workload, each.place) == (workload, place)]
    ours = [each for each in mine if each.tool == OURS]
    said = []
    if ours:
        peak = max(each.peak for each in ours)
        said.append(
            f"Peak memory of Coffer: {peak >> 20} MiB (≤ 400 MiB: {'met' if peak <= _PEAK_GOAL else 'missed'})."
        )
    if cached := Cell.of(each for each in ours if each.work is Work.VERIFY_CACHED):
        pace = cached.median(lambda each: each.stored / each.cpu)
        met = "met" if pace >= 1e9 else "missed"
        said.append(f"Verify at rest from cache: {pace / 1e9:.2f} GB per core and second, start included (≥ 1: {met}).")
    loud = sum(not each.quiet for each in mine)
    said.append(
        f"{len(mine)} measurements; {loud} had more than {NOISE:.0%} of the machine used by others and count only "
        "where no quiet one exists (marked ~)."
    )
    return said


def print_report(results: Results, console: Console) -> None:
    """Print everything as tables."""
    console.print(machine_line(results.header["machine"]), soft_wrap=True)
    console.print(_versions(results), soft_wrap=True)
    for workload, place in groups(results):
        for head, rows in ((SPEED_HEAD, speed_rows), (cost_head(place), cost_rows)):
            table = Table(title=f"{workload}, {_place(place)}")
            for index, column in enumerate(head):
                table.add_column(column, justify="left" if index == 0 else "right")
            for row in rows(results, workload, place):
                table.add_row(*row.cells)
            console.print(table)
        for line in notes(results, workload, place):
            console.print(line, soft_wrap=True)


def groups(results: Results) -> list[tuple[str, str]]:
    """Return the workloads and places that were measured, in order."""
    return list(dict.fromkeys((each.workload, each.place) for each in results.measurements))


def cost_head(place: str) -> tuple[str, ...]:
    """Return the head of the table of costs."""
    return (*COST_HEAD, "requests") if place == "s3" else COST_HEAD


def _pair(results: Results, workload: str, place: str, work: Work) -> tuple[Cell | None, Cell | None]:
    def cell(tool: str, work: Work) -> Cell | None:
        wanted = (workload, place, work, tool)
        return Cell.of(
            each for each in results.measurements if (each.workload, each.place, each.work, each.tool) == wanted
        )

    return cell(OURS, work), cell(PEER, work.peer)


def _spread(cell: Cell | None, value: Callable[[Measurement], float]) -> str:
    if cell is None:
        return "–"
    least, most = cell.spread(value)
    return f"{'~' if cell.noisy else ''}{cell.median(value):.2f} [{least:.2f}–{most:.2f}]"


def _both(ours: Cell, peer: Cell | None, show: Callable[[Cell], str]) -> str:
    return f"{show(ours)} | {show(peer)}" if peer is not None else show(ours)


def _seconds(each: Measurement) -> float:
    return each.seconds


def _peak(cell: Cell) -> str:
    return f"{max(each.peak for each in cell.used) >> 20}"


def _requests(cell: Cell) -> str:
    return f"{cell.median(lambda each: sum(each.requests.values())):.0f}"


def _place(place: str) -> str:
    return {"file": "store in a folder", "s3": "store in SeaweedFS on this machine"}[place]


def _versions(results: Results) -> str:
    return "; ".join(f"{name} {version}" for name, version in results.header["versions"].items())


def markdown_table(head: Sequence[str], rows: Sequence[Row]) -> str:
    """Return a table as Markdown."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *(row.cells for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace(" | ", " / ") for cell in line) + " |" for line in lines)
