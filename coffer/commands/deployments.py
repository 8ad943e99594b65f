"""`coffer deployments write|apply`: schedules into prefect.yaml, and all of it to a Prefect server."""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import yaml

from coffer import processes
from coffer.environments import known, load
from coffer.errors import RefusedByPolicy, UsageError
from coffer.prefect_api import PrefectApi
from coffer.prefect_api.server_setup import apply_automation, apply_work_pool
from coffer.prefect_deployments import render

_HOME = click.option(
    "--home",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Folder with flows/, deployments/ and prefect.yaml.",
)


@click.group()
def deployments() -> None:
    """Which flows run when and where, in Prefect."""


@deployments.command()
@_HOME
@click.option("--check", is_flag=True, help="Write nothing; fail if the file differs from the environments.")
def write(home: Path, check: bool) -> None:
    """Write prefect.yaml from the environment files."""
    path, text = home / "prefect.yaml", render([load(name) for name in known()])
    current = path.read_text() if path.exists() else ""
    if current == text:
        click.echo(f"{path} is up to date", err=True)
        return
    if check:
        raise RefusedByPolicy(
            f"{path} differs from the environment files",
            detail=_first_difference(current, text),
            resolution="Run: coffer deployments write",
        )
    path.write_text(text)
    click.echo(f"wrote {path}", err=True)


@deployments.command()
@_HOME
@click.option("--stack", type=click.Path(dir_okay=False, path_type=Path), help="stack.json: save its blocks too.")
def apply(home: Path, stack: Path | None) -> None:
    """Make work pools, blocks, deployments and automations in Prefect, or bring them up to date."""
    home, began = home.resolve(), time.monotonic()
    api = PrefectApi.from_environment()
    for document in _read(home / "deployments/prefect/work-pools.yaml", "work_pools"):
        click.echo(f"work pool {document['name']}: {apply_work_pool(api.transport, document)}", err=True)
    # Both import Prefect, which takes most of their time; neither needs what the other makes.
    with ThreadPoolExecutor() as pool:
        saving = pool.submit(
            _python, home, "-m", "blocks.register", *(["--stack", str(stack.resolve())] if stack else [])
        )
        deploying = pool.submit(
            _python,
            home,
            "-m",
            "prefect",
            "--no-prompt",
            "deploy",
            "--all",
            "--prefect-file",
            str(home / "prefect.yaml"),
        )
        click.echo(f"blocks: {len(saving.result().splitlines()) - 1} saved", err=True)
        deploying.result()
    click.echo(f"deployments: {len(_read(home / 'prefect.yaml', 'deployments'))}", err=True)
    for automation in _read(home / "deployments/prefect/automations.yaml", "automations"):
        click.echo(f"automation {automation['name']}: {apply_automation(api.transport, automation)}", err=True)
    click.echo(f"applied in {time.monotonic() - began:.1f} s", err=True)


def _python(home: Path, *arguments: str) -> str:
    """Run what needs Prefect in a process of its own: the engine does not import it."""
    secrets = [os.environ.get("PREFECT_API_AUTH_STRING", "")]
    # prefect.yaml names no path of this machine; its {{ $COFFER_HOME }} becomes this one when it is applied.
    environment = {"COFFER_HOME": str(home), "NO_COLOR": "1", "COLUMNS": "200"}
    command = [sys.executable, *arguments]
    return processes.run(command, timeout=300, environment=environment, directory=home, secrets=secrets).stdout


def _read(path: Path, key: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = yaml.safe_load(path.read_text())[key]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} cannot be used", detail=str(error), resolution="Give its folder with --home"
        ) from error
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]  # aliases become copies of their own


def _first_difference(current: str, wanted: str) -> str:
    pairs = zip(current.splitlines(), wanted.splitlines(), strict=False)
    for number, (old, new) in enumerate(pairs, start=1):
        if old != new:
            return f"line {number} is '{old.strip()}', should be '{new.strip()}'"
    return "it has more or fewer lines" if current else "there is no such file"
