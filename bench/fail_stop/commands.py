"""`python -m bench fail-stop`: Coffer and pgBackRest, case by case, and the page that shows it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from bench.fail_stop.cases import Case, Outcome
from bench.fail_stop.coffer_side import CofferSide
from bench.fail_stop.page import page
from bench.fail_stop.pgbackrest_side import PgBackRestSide
from bench.fail_stop.running import run_cases
from coffer.errors import StepFailed, UsageError

_PAGE = Path(__file__).parents[2] / "docs" / "fail-stop.md"


@click.command("fail-stop")
@click.option("--out", default=_PAGE, show_default="docs/fail-stop.md", type=click.Path(path_type=Path))
def fail_stop(out: Path) -> None:
    """Let a log fail to come in every way, and look whether PostgreSQL opens with rows missing."""
    if os.geteuid() != 0:
        raise UsageError("this needs root", detail="PostgreSQL and pgBackRest run as an account of their own")
    results: list[tuple[str, int, dict[Case, Outcome]]] = []
    for major, make in ((18, lambda folder, _: CofferSide(folder)), (15, lambda folder, _: CofferSide(folder)),
                        (15, PgBackRestSide)):  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="coffer-fail-stop-") as folder:
            Path(folder).chmod(0o755)
            name, outcomes = run_cases(make, Path(folder), major, Case)
        results.append((name, major, outcomes))
        for case, found in outcomes.items():
            click.echo(f"{name}, PostgreSQL {major}: {case.value}: {found}")
    out.write_text(page(results))
    if any(not found.safe for name, _, outcomes in results for found in outcomes.values() if name == CofferSide.name):
        raise StepFailed("Coffer let PostgreSQL open with rows missing", detail=str(out))
