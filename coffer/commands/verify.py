"""`coffer verify`: proof that the vault's bytes are what was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coffer.commands.options import (
    credentials_option,
    human,
    json_option,
    open_stores,
    print_json,
    progress,
    root_option,
    say,
    service_option,
    stores_option,
)
from coffer.commands.sizes import Size
from coffer.commands.who import Who, who_options
from coffer.errors import UsageError

if TYPE_CHECKING:
    from coffer.vault.proving import Proving


@click.command()
@click.argument("names", metavar="[POINT]…", nargs=-1)
@stores_option
@credentials_option
@who_options(required=False)
@root_option
@service_option
@click.option("--within", "days", type=click.FloatRange(min=0.01), help="Read what was not read for so many days.")
@click.option("--budget", type=Size(), help="With --within: read at most so much now, the riskiest first (50GiB).")
@click.option("--no-proof", is_flag=True, help="Do not keep the result beside the points.")
@json_option
def verify(
    names: Sequence[str],
    urls: Sequence[str],
    credentials_file: Path | None,
    who: Who,
    root: str | None,
    service: str | None,
    days: float | None,
    budget: int | None,
    no_proof: bool,
    as_json: bool,
) -> None:
    """Read back and compare: with an identity every byte that points need, without it every object with its name.

    What an identity proves is kept beside the points, signed by the root: 'coffer points' shows it, and a prune asks
    for it. With --within, the ledger of these proofs chooses: what was never read first, the newest points first.
    """
    from coffer.vault.proving import Proving, prove_due, prove_points
    from coffer.vault.verification import verify_at_rest

    _check(names, who, days, budget, no_proof)
    stores = open_stores(urls, credentials_file)
    with progress("verifying") as tell:
        if not who.named:
            proving = Proving(verify_at_rest(stores, tell), [])
        else:
            from coffer.vault.reader import VaultReader  # at rest, verifying starts without what opens

            reader = VaultReader.open(stores, who.open(), root=root)
            chosen = [reader.point(name, service) for name in names] or None
            if days is not None:
                proving = prove_due(reader, timedelta(days=days), budget, tell)
            elif no_proof:
                proving = Proving(reader.verify(chosen, tell), [])
            else:
                proving = prove_points(reader, chosen, tell)
    report = proving.report
    _say(proving)
    if as_json and report.ok:
        print_json({**asdict(report), "ok": report.ok, **_what_was_proven(proving)})
    report.raise_for_problems()


def _check(names: Sequence[str], who: Who, days: float | None, budget: int | None, no_proof: bool) -> None:
    if names and not who.named:
        raise UsageError("Single points are verified with --identity")
    if days is not None and not who.named:
        raise UsageError("--within reads points back, which needs --identity")
    if days is not None and (names or no_proof):
        raise UsageError("--within chooses points by their proofs, and keeps new ones", resolution="Leave one away")
    if budget is not None and days is None:
        raise UsageError("--budget goes with --within")


def _say(proving: Proving) -> None:
    report, plan = proving.report, proving.plan
    how = "opened and hashed" if report.opened else "compared with their names"
    say(f"{report.objects} objects, {human(report.bytes)} {how}; {len(report.points)} points whole")
    for problem in report.problems:
        say(str(problem))
    for proof in proving.proofs:
        say(f"{proof.point}  {proof.service}  {proof.result.value}  {proof.detail}".rstrip())
    for note in proving.notes:
        say(f"note: {note}")
    if plan is not None and plan.late:
        say(f"late: {plan.late} packs, {human(plan.late_size)}, are beyond the budget and were not read in time")


def _what_was_proven(proving: Proving) -> dict[str, object]:
    plan = proving.plan
    proven = [{"service": each.service, "point": each.point, "result": each.result.value} for each in proving.proofs]
    late = {} if plan is None else {"late": {"packs": plan.late, "bytes": plan.late_size}}
    return {"proofs": proven, "notes": proving.notes, **late}
