"""`coffer rds`: what only RDS can do for an instance: back to a moment, from a snapshot, over to the other zone."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coffer.commands.options import credentials_option, json_option, open_stores, print_json, say, stores_option
from coffer.commands.who import Who, who_options
from coffer.errors import UsageError

if TYPE_CHECKING:
    from coffer.recovery.rds import NewInstance, Restored
    from coffer.sources.rds import RdsAddress
    from coffer.sources.rds.client import RdsRegion

_address = click.argument("address", metavar="INSTANCE?region=REGION")
_request = click.option("--request", help="Id of the request: the same one goes on where it was.")


@click.group()
def rds() -> None:
    """Bring an RDS instance back, have its standby take over, remove snapshots that no point names."""


@rds.command()
@_address
@click.option("--to", "name", required=True, help="Identifier of the new instance.")
@click.option("--time", "moment", help="Bring it to this moment (ISO 8601 with offset).")
@click.option("--snapshot", help="Restore this snapshot of REGION instead: its identifier or ARN.")
@click.option("--subnet-group", help="Default: the instance's own; needed in another region.")
@click.option("--security-group", "groups", multiple=True, help="Default: the instance's own; may be repeated.")
@click.option("--parameter-group", help="Default: the instance's own.")
@click.option("--multi-az/--single-az", default=None, help="Default: as the instance.")
@_request
@json_option
def restore(
    address: str,
    name: str,
    moment: str | None,
    snapshot: str | None,
    subnet_group: str | None,
    groups: tuple[str, ...],
    parameter_group: str | None,
    multi_az: bool | None,
    request: str | None,
    as_json: bool,
) -> None:
    """Restore an instance as another one; the old one is not touched."""
    from coffer.recovery.rds import restore_snapshot, restore_to_moment
    from coffer.recovery.target import RestoreTarget

    if (moment is None) == (snapshot is None):
        raise UsageError("Say either --time or --snapshot")
    where, region = _open(address)
    given = (subnet_group, groups, parameter_group, multi_az)
    new, request = _new_instance(region, where.instance, name, *given), request or secrets.token_hex(16)
    say(f"request {request}: give it with --request to go on after an interruption")
    if snapshot is not None:
        restored = restore_snapshot(region, snapshot, new, request)
    else:
        time = RestoreTarget.parse_time(moment or "").time
        assert time is not None  # noqa: S101 - it was parsed as a time
        restored = restore_to_moment(region, where.instance, time, new, request)
    _print(restored, as_json)


@rds.command()
@_address
@click.option("--away-from", default="", metavar="ZONE", help="Do nothing if it is not in this zone any more.")
@json_option
def failover(address: str, away_from: str, as_json: bool) -> None:
    """Have the standby of a Multi-AZ instance take over; ends when it answers in the other zone."""
    from coffer.recovery.rds_failover import fail_over

    where, region = _open(address)
    done = fail_over(region, where.instance, away_from=away_from)
    say(f"{where.instance} runs in {done.after}, was in {done.before}; {done.seconds:.0f} s")
    if as_json:
        print_json({"before": done.before, "after": done.after, "seconds": done.seconds})


@rds.command()
@_address
@stores_option
@credentials_option
@who_options()
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and stop.")
def prune(address: str, urls: Sequence[str], credentials_file: Path | None, who: Who, dry_run: bool) -> None:
    """Remove Coffer's snapshots of an instance that no point in the vault names, in both regions."""
    from coffer.recovery.rds_retention import find_unneeded, remove_snapshots, snapshots_of
    from coffer.vault.reader import VaultReader

    where, region = _open(address)
    reader = VaultReader.open(open_stores(urls, credentials_file), who.open())
    facts = [
        reader.facts(point, each.name) for point in reader.points() for each in point.sources if each.kind == "rds"
    ]
    regions = [region, *([_region(where, where.copy_region)] if where.copy_region else [])]
    unneeded = find_unneeded(regions, where.instance, snapshots_of(facts))
    for each in unneeded if dry_run else remove_snapshots(regions, unneeded):
        say(
            f"{'would remove' if dry_run else 'removed'} {each.id} in {each.region}, made {each.created:%Y-%m-%d %H:%M}"
        )


def _new_instance(
    region: RdsRegion,
    instance: str,
    name: str,
    subnet_group: str | None,
    groups: tuple[str, ...],
    parameter_group: str | None,
    multi_az: bool | None,
) -> NewInstance:
    """Return what was asked for, and for the rest what the instance is, if it is still there."""
    from dataclasses import replace

    from coffer.errors import NotThere
    from coffer.recovery.rds import NewInstance
    from coffer.sources.rds.source import describe_instance

    try:
        like = NewInstance.like(name, describe_instance(region, instance))
    except NotThere:  # it is lost, or this is the other region
        like = NewInstance(name)
    return replace(
        like,
        subnet_group=subnet_group or like.subnet_group,
        security_groups=groups or like.security_groups,
        parameter_group=parameter_group or like.parameter_group,
        multi_az=like.multi_az if multi_az is None else multi_az,
    )


def _open(address: str) -> tuple[RdsAddress, RdsRegion]:
    from coffer.sources.rds import RdsAddress

    where = RdsAddress.parse(address)
    return where, _region(where, where.region)


def _region(where: RdsAddress, region: str) -> RdsRegion:
    from coffer.sources.rds.client import RdsRegion

    return RdsRegion.open(region, profile=where.profile, endpoint=where.endpoint)


def _print(restored: Restored, as_json: bool) -> None:
    say(f"{restored.name} takes connections at {restored.host}:{restored.port}, in {restored.zone}")
    if as_json:
        print_json({"name": restored.name, "arn": restored.arn, "host": restored.host, "port": restored.port})
    else:
        click.echo(restored.host)
