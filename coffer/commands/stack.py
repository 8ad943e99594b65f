"""`coffer stack up|down|status`: the whole house on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from coffer.stack.house import House
    from coffer.stack.layout import Layout
    from coffer.stack.ports import Ports
    from coffer.stack.status import ServiceStatus


@click.group()
def stack() -> None:
    """Prefect, registry, two S3 regions, databases and proxies on this machine, all on 127.0.0.1."""


@stack.command()
@click.option(
    "--database",
    type=click.Choice(["sqlite", "postgres"]),
    help="Where Prefect keeps its own data; remembered. At first: sqlite.",
)
def up(database: str | None) -> None:
    """Start what is not running and wait until everything is ready. Twice is harmless."""
    from coffer.stack.progress import Progress
    from coffer.stack.up import up as bring_up

    with Progress() as progress:
        house = bring_up(*_place(), database=database, progress=progress)
    _print_addresses(house)


@stack.command()
@click.option("--purge", is_flag=True, help="Remove its data, secrets and the vault's identity too.")
def down(purge: bool) -> None:
    """End everything of ours: processes, containers, networks. Data stays."""
    from coffer.stack.down import down as take_down

    layout, ports = _place()
    take_down(layout, ports, purge=purge, report=lambda line: click.echo(f"  {line}", err=True))
    click.echo(f"the stack is down{'' if purge else f'; its data stays in {layout.state}'}", err=True)


@stack.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def status(as_json: bool) -> None:
    """Show every service. Exit code 0 only if all are ready, else 17."""
    from coffer.errors import StepFailed
    from coffer.stack.status import status as ask

    lines = ask(*_place())
    if as_json:
        click.echo(json.dumps({"services": [line.as_dict() for line in lines]}, indent=2))
    else:
        _print_table(lines)
    if not lines:
        raise StepFailed("the stack was never started", resolution="Run: coffer stack up")
    if waiting := [line.service for line in lines if not line.ready]:
        raise StepFailed(f"{len(waiting)} of {len(lines)} services are not ready", detail=", ".join(waiting))


def _place() -> tuple[Layout, Ports]:
    from coffer.stack import ports
    from coffer.stack.layout import Layout

    layout = Layout.of_process()
    return layout, ports.load(layout.home / "deployments" / "local" / "ports.toml")


def _print_addresses(house: House) -> None:
    from coffer.stack.layout import ENVIRONMENTS

    click.echo("the stack is up", err=True)
    click.echo(f"  Prefect      http://127.0.0.1:{house.ports.prefect}", err=True)
    for name in ENVIRONMENTS:
        click.echo(f"  {name:<12} https://localhost:{house.ports.edge_https[name]}", err=True)
    click.echo(f"  everything   {house.layout.document}", err=True)


def _print_table(lines: list[ServiceStatus]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("service", "state", "pid", "address", "ready", "since", box=None, header_style="bold")
    for line in lines:
        ready = "yes" if line.ready else f"no: {line.reason}"
        table.add_row(line.service, line.state, str(line.pid or ""), line.address, ready, line.since or "")
    Console(width=None if Console().is_terminal else 200, markup=False).print(table)
