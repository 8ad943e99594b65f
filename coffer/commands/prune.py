"""`coffer prune`: remove points that no rule keeps, and what nothing needs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coffer.commands.options import PATH, human, json_option, open_stores, print_json, say, stores_option

if TYPE_CHECKING:
    from coffer.vault.pruning import PrunePlan


@click.command()
@stores_option
@click.option("--pruner", type=PATH, required=True, help="Pruner's file: 'coffer vault pruner' makes one.")
@click.option("--policy", type=PATH, required=True, help="TOML: keep-last, keep-days, keep-daily, …, grace-hours.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and stop.")
@json_option
def prune(urls: Sequence[str], pruner: Path, policy: Path, dry_run: bool, as_json: bool) -> None:
    """Print what stays and what goes, each with its reason; then remove it."""
    from coffer.keys import PrunerCredentials
    from coffer.vault.pruning import execute, plan_prune
    from coffer.vault.retention import RetentionPolicy

    rules = RetentionPolicy.load(policy)
    credentials = PrunerCredentials.load(pruner)
    stores = open_stores(urls, credentials.credentials_file)
    plan = plan_prune(stores, credentials, rules, datetime.now(UTC))
    if not as_json:
        _print(plan)
    if not dry_run:
        execute(plan, stores)
    say(
        f"{'would remove' if dry_run else 'removed'} {plan.count} objects, {human(plan.bytes)}; "
        f"{plan.young} still in grace"
    )
    if as_json:
        print_json({"dry_run": dry_run, "points": _verdicts(plan), "objects": plan.count, "bytes": plan.bytes})


def _print(plan: PrunePlan) -> None:
    for verdict in plan.verdicts:
        word = "keep  " if verdict.keep else "remove"
        click.echo(f"{word}  {verdict.point.service}  {verdict.point.name}  {verdict.reason}")
    for found in plan.objects.values():
        for name in found:
            click.echo(f"remove  {name}  no kept point names it")


def _verdicts(plan: PrunePlan) -> list[dict[str, object]]:
    return [
        {"service": each.point.service, "name": each.point.name, "keep": each.keep, "reason": each.reason}
        for each in plan.verdicts
    ]
