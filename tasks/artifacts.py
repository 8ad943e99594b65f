"""What a run leaves behind for people: tables and reports in the Prefect UI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prefect.artifacts import create_markdown_artifact, create_table_artifact


def table(key: str, rows: Sequence[Mapping[str, object]], description: str) -> None:
    """Leave a table; an empty one says so instead."""
    shown = [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    create_table_artifact(key=key, table=shown or [{"": "none"}], description=description)


def report(key: str, title: str, lines: Iterable[str], description: str = "") -> None:
    """Leave a report in Markdown."""
    create_markdown_artifact(key=key, markdown="\n".join([f"# {title}", "", *lines]), description=description or title)


def cell(text: object) -> str:
    """Return a text that cannot break out of a Markdown table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(cell(value) for value in row) + " |" for row in rows),
    ]


def size(number: float) -> str:
    """Return bytes as people read them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
