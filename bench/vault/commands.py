"""`python -m bench vault`: the vault beside restic; its memory; its profile; the page."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench.vault.machine import describe_machine
from bench.vault.measuring import drop_caches
from bench.vault.memory import as_document, measure_memory
from bench.vault.mixed import Mixed
from bench.vault.page import write_page
from bench.vault.places import open_place
from bench.vault.profile import print_profile, profile_work
from bench.vault.report import print_report
from bench.vault.restic_build import cache, find_restic
from bench.vault.results import Results
from bench.vault.rounds import run_rounds
from bench.vault.small import Small
from bench.vault.subject import Rules
from bench.vault.tools import Coffer, Restic, Tool
from bench.vault.works import Work
from coffer.errors import OutsideSystemError
from coffer.vault.compression import DEFAULT

_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_DISK = 1 << 30
_PATH = click.Path(path_type=Path)


def bytes_of(text: str) -> int:
    """Read a size such as 512MiB or 4GiB; click turns the ValueError into a line for people."""
    if (unit := _UNITS.get(text[-3:])) is None:
        raise ValueError(text)
    return int(text[:-3]) * unit


_folder = click.option(
    "--folder",
    type=_PATH,
    default=lambda: cache() / "scratch",
    help="Scratch folder on the disk to measure, by default in the cache; needs about 4 × the data.",
)
_json = click.option("--json", "json_path", type=_PATH, help="Keep every measurement in this file.")


@click.group()
def vault() -> None:
    """Measure the vault."""


@vault.command("run")
@_folder
@click.option(
    "--workload", "workloads", type=click.Choice(["mixed", "small"]), multiple=True, default=("mixed", "small")
)
@click.option("--size", type=bytes_of, metavar="SIZE", default="4GiB", show_default=True, help="Of the mixed files.")
@click.option("--files", default=200_000, show_default=True, help="How many small files.")
@click.option("--place", type=click.Choice(["file", "s3"]), default="file", show_default=True)
@click.option("--work", "works", type=click.Choice([each.value for each in Work]), multiple=True, help="Only these.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--peer/--no-peer", default=True, help="Measure restic beside it.")
@click.option("--patience", default=60.0, show_default=True, help="Seconds to wait for a quiet machine each time.")
@click.option("--attempts", default=3, show_default=True, help="How often a noisy measurement is done.")
@_json
def measure_vault(
    folder: Path,
    workloads: tuple[str, ...],
    size: int,
    files: int,
    place: str,
    works: tuple[str, ...],
    rounds: int,
    seed: int,
    peer: bool,
    patience: float,
    attempts: int,
    json_path: Path | None,
) -> None:
    """Measure both tools in rounds."""
    console = Console()
    folder.mkdir(parents=True, exist_ok=True)
    tools = _tools(peer, console)
    made = [each for each in (Mixed(size, seed), Small(files, seed)) if each.name in workloads]
    header = {
        **_header(folder, min(_DISK, size), {tool.name: tool.version for tool in tools}),
        "workloads": {each.name: each.describe() for each in made},
        "caches_dropped": drop_caches(),
        "rounds": rounds,
        "seed": seed,
    }
    if not header["caches_dropped"]:
        console.print("Caches are not dropped: that takes root. All numbers are warm.")
    results = Results(header, path=json_path)
    with ExitStack() as stack:
        where = stack.enter_context(open_place(place, folder / "place"))
        for workload in made:
            run_rounds(
                workload,
                tools,
                where,
                folder,
                rounds=rounds,
                seed=seed,
                rules=Rules(attempts, patience, cold=header["caches_dropped"]),
                results=results,
                tell=_tell,
                works=[Work(each) for each in works] or tuple(Work),
            )
    print_report(results, console)


@vault.command()
@_folder
@click.option(
    "--size",
    "sizes",
    type=bytes_of,
    metavar="SIZE",
    multiple=True,
    default=("1GiB", "8GiB", "40GiB"),
    show_default=True,
)
@click.option(
    "--unique", type=bytes_of, metavar="SIZE", default="1GiB", show_default=True, help="Content of what is restored."
)
@click.option("--backup/--no-backup", default=True, help="Back up, every byte of it new; the packs are emptied.")
@click.option("--restore/--no-restore", default=True, help="Restore and verify; the largest size goes to disk.")
@_json
def memory(
    folder: Path, sizes: tuple[int, ...], unique: int, backup: bool, restore: bool, json_path: Path | None
) -> None:
    """Measure peak memory at several sizes of generated input."""
    folder.mkdir(parents=True, exist_ok=True)
    header = _header(folder, min(_DISK, max(sizes)), {"coffer": _coffer_version()})
    rows = measure_memory(folder, sizes, unique=unique, backup=backup, restore=restore, tell=_tell)
    if json_path is not None:
        json_path.write_text(json.dumps(as_document(rows, header, unique), indent=1) + "\n")


@vault.command()
@_folder
@click.option("--work", type=click.Choice([each.value for each in Work]), default="first", show_default=True)
@click.option("--workload", type=click.Choice(["mixed", "small"]), default="mixed", show_default=True)
@click.option("--size", type=bytes_of, metavar="SIZE", default="512MiB", show_default=True, help="Of the mixed files.")
@click.option("--files", default=20_000, show_default=True, help="How many small files.")
@click.option("--place", type=click.Choice(["file", "s3"]), default="file", show_default=True)
@click.option("--cold", is_flag=True, help="Drop the caches first.")
@click.option("--lines", default=25, show_default=True, help="How many functions to show.")
def profile(folder: Path, work: str, workload: str, size: int, files: int, place: str, cold: bool, lines: int) -> None:
    """Show where one command's processor seconds go; needs py-spy."""
    made = Mixed(size) if workload == "mixed" else Small(files)
    with open_place(place, folder / "place") as where:
        found = profile_work(made, Work(work), where, folder / "profile", cold=cold)
    print_profile(found, f"{work}, {workload}", lines, Console())


@vault.command()
@click.argument("files", type=_PATH, nargs=-1, required=True)
@click.option("--write", "page", type=_PATH, help="Write the page, such as docs/measured-vault.md.")
def report(files: tuple[Path, ...], page: Path | None) -> None:
    """Print files of measurements again, or write them as a page."""
    console = Console()
    memories = [each for each in map(_memory_document, files) if each is not None]
    results = [Results.load(path) for path in files if _memory_document(path) is None]
    for each in results:
        print_report(each, console)
    if page is not None:
        page.write_text(write_page(results, memories))


def _memory_document(path: Path) -> dict[str, Any] | None:
    document: dict[str, Any] = json.loads(path.read_text())
    return document if "memory" in document else None


def _tools(peer: bool, console: Console) -> list[Tool]:
    tools: list[Tool] = [Coffer(_coffer_version())]
    if peer:
        try:
            program, number = find_restic()
        except OutsideSystemError as error:
            console.print(f"restic is missing, so Coffer is measured alone: {error}")
        else:
            tools.append(Restic(program, number))
    return tools


def _coffer_version() -> str:
    return f"{version('coffer')}, zstd level {DEFAULT.level}"


def _header(folder: Path, disk_bytes: int, versions: dict[str, str]) -> dict[str, Any]:
    return {
        "started": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": shlex.join(["python", "-m", "bench", *("…" if "/" in word else word for word in sys.argv[1:])]),
        "machine": describe_machine(folder, disk_bytes=disk_bytes),
        "versions": versions,
    }


def _tell(line: str) -> None:
    click.echo(line, err=True)
