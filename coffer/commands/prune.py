"""`coffer prune`: remove points that no rule keeps, and what nothing needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coffer.commands.options import PATH, human, json_option, open_stores, print_json, say, stores_option

if TYPE_CHECKING:
    from coffer.vault.prune_plan import PrunePlan, PruneReport

_SHOWN = 20


@click.command()
@stores_option
@click.option("--pruner", type=PATH, required=True, help="Pruner's file: 'coffer vault pruner' makes one.")
@click.option("--policy", type=PATH, help="TOML of what to keep beyond what the root signed: keep-last, keep-days, ….")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and stop.")
@json_option
def prune(urls: Sequence[str], pruner: Path, policy: Path | None, dry_run: bool, as_json: bool) -> None:
    """Print what stays and what goes, each with its reason. What nothing needs is marked, and removed a later time.

    A first run removes nothing: it marks. A run after the grace period (grace-hours) removes what was marked and is
    still not needed. What a lock holds stays until the lock ends.
    """
    from coffer.keys import PrunerCredentials
    from coffer.vault.pruning import execute, plan_prune
    from coffer.vault.retention_policy import RetentionPolicy

    rules = RetentionPolicy.load(policy) if policy else None
    credentials = PrunerCredentials.load(pruner)
    stores = open_stores(urls, credentials.credentials_file)
    plan = plan_prune(stores, credentials, rules)
    if not as_json:
        _print_plan(plan)
    report = None if dry_run else execute(plan, stores)
    for line in _summary(plan, report):
        say(line)
    if as_json and not plan.refusals:
        print_json(describe(plan, report))
    plan.raise_for_refusals()


def describe(plan: PrunePlan, report: PruneReport | None) -> dict[str, Any]:
    """Return a plan, and what became of it, as `--json` prints it."""
    document: dict[str, Any] = {
        "dry_run": report is None,
        "policy": plan.policy.as_keys(),
        "points": [
            {
                "service": each.point.service,
                "name": each.point.name,
                "keep": each.keep,
                "reason": each.reason,
                "held": each.held,
            }
            for each in plan.verdicts
        ],
        "refusals": {each.service: each.reason for each in plan.refusals},
        "sweep": {"points": [each.place for each in plan.going], "objects": plan.count, "bytes": plan.bytes},
        "waiting": {name: until.isoformat() for name, until in sorted(plan.waiting.items())},
        "mark": sorted(plan.fresh),
        "young": plan.young,
        "notes": list(plan.notes),
    }
    if report is not None:
        document["swept"] = {"points": report.points, "objects": report.objects, "bytes": report.bytes}
        document["marked"] = report.marked
        document["locked"] = [
            {"store": url, "object": name, "until": until.isoformat()}
            for (url, name), until in sorted(report.locked.items())
        ]
        document["locks_extended"] = report.extended
    return document


def _print_plan(plan: PrunePlan) -> None:
    for verdict in plan.verdicts:
        word = "held  " if verdict.held else "keep  " if verdict.keep else "remove"
        click.echo(f"{word}  {verdict.point.service}  {verdict.point.name}  {verdict.reason}")
    swept = sorted({info.name for found in plan.sweep.values() for info in found})
    _print_objects("sweep ", [f"{name}  no point needs it, marked long enough" for name in swept])
    waiting = sorted(plan.waiting.items())
    _print_objects("waits ", [f"{name}  until {until:%Y-%m-%d %H:%M} UTC" for name, until in waiting])
    _print_objects("mark  ", [f"{name}  no kept point needs it" for name in sorted(plan.fresh)])


def _print_objects(word: str, lines: Sequence[str]) -> None:
    """Print the first few; --json has all of them."""
    for line in lines[:_SHOWN]:
        click.echo(f"{word}  {line}")
    if len(lines) > _SHOWN:
        click.echo(f"{word}  … and {len(lines) - _SHOWN} more")


def _summary(plan: PrunePlan, report: PruneReport | None) -> list[str]:
    wait = f"{plan.policy.grace_hours:g} h"
    lines = [f"note: {note}" for note in plan.notes]
    if report is None:
        lines.append(f"would remove {plan.count} objects, {human(plan.bytes)}; would mark {len(plan.fresh)} for {wait}")
    else:
        lines.append(
            f"removed {len(report.points)} points, {report.objects} objects, {human(report.bytes)}; "
            f"marked {report.marked} for {wait}"
        )
        if report.locked:
            ends = sorted(report.locked.values())
            lines.append(
                f"{len(report.locked)} objects are locked, the first until {ends[0]:%Y-%m-%d %H:%M} UTC, "
                f"the last until {ends[-1]:%Y-%m-%d %H:%M} UTC"
            )
            lines += [
                f"locked  {name} in {url} until {at:%Y-%m-%d %H:%M} UTC"
                for (url, name), at in sorted(report.locked.items())
            ]
    lines.append(f"{len(plan.waiting)} wait for an earlier mark; {plan.young} are too young to mark")
    return lines
