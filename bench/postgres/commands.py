"""`python -m bench postgres`: recovery beside its peers; the growth of an incremental; the page."""

from __future__ import annotations

import random
import shlex
import shutil
import signal
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench.postgres.cluster import BenchServer, reachable_folder, source_server
from bench.postgres.data import Data
from bench.postgres.growth import measure_growth
from bench.postgres.lag import measure_lag
from bench.postgres.page import print_report, write_page
from bench.postgres.results import Failure, Results
from bench.postgres.rounds import Round, Rules, Subject
from bench.postgres.rows import SEGMENTS, Row
from bench.postgres.subjects import NEW, OLD, subjects
from bench.vault.machine import describe_machine
from bench.vault.measuring import drop_caches
from bench.vault.restic_build import cache
from coffer.errors import CofferError

_GB = 1_000_000_000
_PATH = click.Path(path_type=Path)
# PostgreSQL's account cannot walk into a home folder that is closed.
_OUTSIDE_HOME = Path("/var/cache/coffer/bench/postgres")
_folder = click.option(
    "--folder",
    type=_PATH,
    default=lambda: reachable_folder(cache() / "postgres", _OUTSIDE_HOME),
    help="Where clusters are kept and measured, by default in the cache; needs about 8 × the data.",
)
_json = click.option("--json", "json_path", type=_PATH, help="Keep every measurement in this file, as it comes.")
_versions = click.option(
    "--version", "majors", type=click.Choice([str(OLD), str(NEW)]), multiple=True, default=(str(OLD), str(NEW))
)
_size = click.option("--size", default=2.4, show_default=True, help="GB of each cluster; each size is kept apart.")
_tables = click.option("--tables", default=3000, show_default=True, help="Small tables in each, six files a table.")
_seed = click.option("--seed", default=1, show_default=True)
_patience = click.option("--patience", default=20.0, show_default=True, help="Seconds to wait for a quiet machine.")


@click.group()
def postgres() -> None:
    """Measure the recovery of PostgreSQL."""


@postgres.command("run")
@_folder
@_size
@_tables
@click.option("--segments", default=SEGMENTS, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--slow-rounds", type=int, help="In how many rounds pgBackRest at its defaults takes part.")
@_seed
@_versions
@click.option("--subject", "names", multiple=True, help="Only these tools.")
@click.option("--row", "rows", type=click.Choice([each.value for each in Row]), multiple=True, help="Only up to these.")
@click.option("--lag-seconds", default=20.0, show_default=True, help="How long the streaming lag is watched; 0: not.")
@click.option("--prove-all", is_flag=True, help="Check every restored cluster in every round.")
@_patience
@_json
def measure_postgres(
    folder: Path,
    size: float,
    tables: int,
    segments: int,
    rounds: int,
    slow_rounds: int | None,
    seed: int,
    majors: tuple[str, ...],
    names: tuple[str, ...],
    rows: tuple[str, ...],
    lag_seconds: float,
    prove_all: bool,
    patience: float,
    json_path: Path | None,
) -> None:
    """Measure all tools in rounds; ended by a signal, it stops its servers."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    wanted = [each for each in subjects(slow_rounds) if str(each.major) in majors and (not names or each.name in names)]
    results = Results({}, path=json_path)
    rules = Rules(patience, segments, tuple(map(Row, rows)) or tuple(Row), prove_all)
    order = random.Random(seed)
    with ExitStack() as stack:
        data = _clusters(stack, folder, wanted, round(size * _GB), tables, seed)
        work = folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o755)
        results.header = _header(folder, wanted, data, seed, rounds)
        results.save()
        for turn in range(1, rounds + 1):
            one = Round(turn, wanted, data, work, order, rules, results, _tell)
            try:
                one.run()
            finally:
                one.remove()
            if lag_seconds:
                _lag(data, work, lag_seconds, turn, results)
        shutil.rmtree(work, ignore_errors=True)
    print_report(results, console)


@postgres.command()
@_folder
@_size
@_tables
@_seed
@_versions
def prepare(folder: Path, size: float, tables: int, seed: int, majors: tuple[str, ...]) -> None:
    """Build the clusters that `run` measures, unless they are there; it does so itself, too."""
    wanted = [each for each in subjects(None) if str(each.major) in majors]
    with ExitStack() as stack:
        for major, (_, data) in _clusters(stack, folder, wanted, round(size * _GB), tables, seed).items():
            _tell(f"PostgreSQL {major}: {data.describe()}")


@postgres.command()
@_folder
@click.option("--size", "sizes", type=float, multiple=True, default=(1, 4, 16), show_default=True, help="GB.")
@click.option("--rounds", default=3, show_default=True)
@_versions
@_patience
@_json
def growth(
    folder: Path,
    sizes: tuple[float, ...],
    rounds: int,
    majors: tuple[str, ...],
    patience: float,
    json_path: Path | None,
) -> None:
    """Measure an incremental of the same change at several sizes; needs 1.6 × the largest on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    header = {**_origin(folder), "caches_dropped": drop_caches()}
    results = Results(header, path=json_path)
    for major in map(int, majors):
        sized = [round(each * _GB) for each in sorted(sizes)]
        try:
            found = measure_growth(folder, major, sized, rounds=rounds, patience=patience, tell=_tell)
            results.note(f"growth-{major}", found)
        except (CofferError, OSError) as error:
            results.add(Failure("coffer", major, "growth", 1, str(error)))
            _tell(f"growth on {major} FAILED: {error}")
    print_report(results, Console())


@postgres.command()
@click.argument("files", type=_PATH, nargs=-1, required=True)
@click.option("--write", "page", type=_PATH, help="Write the page, such as docs/measured-postgres.md.")
def report(files: tuple[Path, ...], page: Path | None) -> None:
    """Print files of measurements again, or write them as a page."""
    results = [Results.load(path) for path in files]
    for each in results:
        print_report(each, Console())
    if page is not None:
        page.write_text(write_page(results))


def _clusters(
    stack: ExitStack, folder: Path, wanted: list[Subject], size: int, tables: int, seed: int
) -> dict[int, tuple[BenchServer, Data]]:
    """Start the clusters, built on first use and kept."""
    found: dict[int, tuple[BenchServer, Data]] = {}
    for major in sorted({each.major for each in wanted}):
        place = folder / f"{major}-{size // 1_000_000}-{tables}"
        try:
            server = source_server(place, major)
            stack.enter_context(server)
            data = Data(server, size, tables, seed)
            data.make()
        except CofferError as error:
            _tell(f"PostgreSQL {major} is left out: {error}")
            continue
        found[major] = (server, data)
    wanted[:] = [each for each in wanted if each.major in found]
    return found


def _lag(data: dict[int, tuple[BenchServer, Data]], work: Path, seconds: float, turn: int, results: Results) -> None:
    for major, (server, _) in data.items():
        try:
            found = measure_lag(server, work, seconds)
        except (CofferError, OSError) as error:
            results.add(Failure("coffer", major, "lag", turn, str(error)))
            _tell(f"streaming lag on {major} FAILED: {error}")
        else:
            results.note(f"lag-{major}", [*results.extras.get(f"lag-{major}", []), found])
            _tell(f"{turn}  streaming lag on {major}: p50 {found['p50']:.2f} s, p99 {found['p99']:.2f} s")


def _header(
    folder: Path, wanted: list[Subject], data: dict[int, tuple[BenchServer, Data]], seed: int, rounds: int
) -> dict[str, Any]:
    return {
        **_origin(folder),
        "caches_dropped": drop_caches(),
        "clusters": {str(major): each.describe() for major, (_, each) in data.items()},
        "subjects": [f"{each.name} on {each.major}" for each in wanted],
        "seed": seed,
        "rounds": rounds,
    }


def _origin(folder: Path) -> dict[str, Any]:
    return {
        "started": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": shlex.join(["python", "-m", "bench", *("…" if "/" in word else word for word in sys.argv[1:])]),
        "machine": describe_machine(folder, disk_bytes=1 << 30),
    }


def _tell(line: str) -> None:
    click.echo(line, err=True)
