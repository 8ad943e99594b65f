"""From environment files to prefect.yaml: which deployments there are, when they run and in which pool.

The environment file says when things happen; this writes it down for Prefect, and a test compares the two, so that
nobody edits a schedule in a second place. Pure: environments in, a document out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from coffer.cron import Cron, without
from coffer.environments import Environment

POOL = "coffer"
# Its worker alone can open recovery points and remove them (settled.md 13): whatever does either runs there.
ESCROW_POOL = "coffer-escrow"
_ALERT_AGAIN = 6 * 3600
_HEADER = """\
# Written by `coffer deployments write` from deployments/environments/*.toml: change those, not this file.
# `coffer deployments apply` carries it to a Prefect server. COFFER_HOME is the folder this file is in.
"""
_ENTRYPOINTS = {
    "release": "flows/release_service.py:release_service",
    "rollback": "flows/roll_back_service.py:roll_back_service",
    "backup": "flows/back_up_service.py:back_up_service",
    "vault-verify": "flows/verify_vault.py:verify_vault",
    "vault-prune": "flows/prune_vault.py:prune_vault",
    "drill": "flows/drill_recovery.py:drill_recovery",
    "recover": "flows/recover_service.py:recover_service",
    "watch": "flows/watch_promises.py:watch_promises",
    "alert": "flows/alert_people.py:alert_people",
}


def render(environments: Iterable[Environment]) -> str:
    """Return the text of prefect.yaml."""
    return _HEADER + yaml.safe_dump(document(environments), sort_keys=False, allow_unicode=True, width=120)


def document(environments: Iterable[Environment]) -> dict[str, Any]:
    """Return the document of prefect.yaml."""
    ordered = sorted(environments, key=lambda environment: environment.name)
    deployments = [*(_release(environment) for environment in ordered), *_pushes(ordered)]
    for environment in ordered:
        deployments.append(_rollback(environment))
        if environment.recovery is not None:
            deployments += [*_backups(environment), _verify(environment), _prune(environment), _drill(environment)]
            deployments.append(_recover(environment))
            deployments += [_watch(environment), *_alert(environment)]
    return {
        "name": "coffer",
        "pull": [{"prefect.deployments.steps.set_working_directory": {"directory": "{{ $COFFER_HOME }}"}}],
        "deployments": deployments,
    }


def _deployment(
    flow: str,
    name: str,
    description: str,
    parameters: dict[str, Any],
    *,
    crons: Iterable[Cron] = (),
    pool: str = POOL,
    triggers: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    schedules = [
        {"cron": str(cron), "timezone": "UTC", "slug": f"{name}-{number}"} for number, cron in enumerate(crons, start=1)
    ]
    return {
        "name": name,
        "entrypoint": _ENTRYPOINTS[flow],
        "description": description,
        "tags": ["coffer", flow],
        "parameters": parameters,
        "work_pool": {"name": pool},
        # A second one waits: two at once would fight for the environment's lease, and the later one would fail.
        "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"},
        "schedules": schedules,
        **({"triggers": triggers} if triggers else {}),
    }


def _release(environment: Environment) -> dict[str, Any]:
    text = f"Release an image of {environment.service.name} to {environment.name}."
    return _deployment("release", environment.name, text, {"environment": environment.name})


def _pushes(environments: list[Environment]) -> Iterator[dict[str, Any]]:
    triggers = [_trigger(environment) for environment in environments if environment.release.on_push]
    if triggers:
        text = "Release an image that was pushed under a tag that an environment's [release] on-push names."
        yield _deployment("release", "on-image-push", text, {}, triggers=triggers)


def _trigger(environment: Environment) -> dict[str, Any]:
    def said(field: str) -> str:
        # Without default() a missing field makes Prefect start nothing and say so only in an event.
        return "{{ event.payload." + field + " | default('') }}"

    return {
        "type": "event",
        "name": f"release-{environment.name}-on-push",
        "enabled": True,
        "match": {
            "prefect.resource.id": f"coffer.service.{environment.service.image.rpartition('/')[2]}",
            "coffer.image.repository": environment.service.image,
            "coffer.image.tag": list(environment.release.on_push),
        },
        "expect": ["coffer.image.pushed"],
        "for_each": ["prefect.resource.id"],
        "posture": "Reactive",
        "threshold": 1,
        "within": 0,
        "parameters": {
            "environment": environment.name,
            "image": said("image"),
            "tag": said("tag"),
            "requester": "image-push",
        },
    }


def _rollback(environment: Environment) -> dict[str, Any]:
    text = f"Switch {environment.name} back to what served before."
    return _deployment("rollback", environment.name, text, {"environment": environment.name})


def _backups(environment: Environment) -> Iterator[dict[str, Any]]:
    """A weekly full takes the place of the incremental that would run at the same time, and so does the nightly one."""
    name, when = environment.name, environment.schedule
    full, nightly, incremental = (
        [Cron.parse(text)] if text else [] for text in (when.full, when.nightly, when.incremental)
    )
    nightly = _less(nightly, full)
    incremental = _less(incremental, [*full, *nightly])
    slots = (("four-hourly", "incremental", incremental), ("nightly", "incremental", nightly), ("weekly", "full", full))
    for slot, kind, crons in slots:
        if crons:
            text = f"Take a recovery point of {name} ({kind}), {slot}."
            yield _deployment("backup", f"{name}-{slot}", text, {"environment": name, "kind": kind}, crons=crons)
    text = f"Take a recovery point of {name} now."
    yield _deployment("backup", f"{name}-on-demand", text, {"environment": name, "kind": "auto"})


def _less(crons: list[Cron], others: list[Cron]) -> list[Cron]:
    for other in others:
        crons = [rest for cron in crons for rest in without(cron, other)]
    return crons


def _verify(environment: Environment) -> dict[str, Any]:
    text = f"Read back what is due of the recovery points of {environment.name}: the riskiest first."
    crons = [Cron.parse(environment.schedule.verify)] if environment.schedule.verify else []
    parameters = {"environment": environment.name, "read_back": True}
    return _deployment("vault-verify", environment.name, text, parameters, crons=crons, pool=ESCROW_POOL)


def _prune(environment: Environment) -> dict[str, Any]:
    """In the escrow pool: its worker alone has the store identity that may delete."""
    text = f"Remove recovery points of {environment.name} that no rule keeps: mark, wait, sweep."
    crons = [Cron.parse(environment.schedule.prune)] if environment.schedule.prune else []
    parameters = {"environment": environment.name}
    return _deployment("vault-prune", environment.name, text, parameters, crons=crons, pool=ESCROW_POOL)


def _drill(environment: Environment) -> dict[str, Any]:
    text = f"Restore {environment.name} to a chosen moment, ask it the service's own questions, measure RTO and RPO."
    crons = [Cron.parse(environment.schedule.drill)] if environment.schedule.drill else []
    parameters = {"environment": environment.name}
    return _deployment("drill", f"{environment.name}-weekly", text, parameters, crons=crons, pool=ESCROW_POOL)


def _watch(environment: Environment) -> dict[str, Any]:
    text = f"Say what a disaster in {environment.name} would cost now; take a point before a promise is broken."
    crons = [Cron.parse(environment.schedule.watch)] if environment.schedule.watch else []
    return _deployment("watch", environment.name, text, {"environment": environment.name}, crons=crons)


def _alert(environment: Environment) -> Iterator[dict[str, Any]]:
    """Where somebody is to be told: once in six hours for each thing that stays wrong."""
    if environment.recovery is None or environment.recovery.watch.tell is None:
        return
    trigger = {
        "type": "event",
        "name": f"alert-{environment.name}",
        "enabled": True,
        "match": {
            "prefect.resource.id": f"coffer.service.{environment.service.name}",
            "coffer.environment": environment.name,
        },
        "expect": ["coffer.point.missed", "coffer.promise.in_danger", "coffer.drill.failed"],
        "for_each": ["prefect.resource.id", "coffer.promise"],
        "posture": "Reactive",
        "threshold": 1,
        "within": _ALERT_AGAIN,
        "parameters": {
            "environment": environment.name,
            "event": "{{ event.event }}",
            "detail": "{{ event.payload.detail | default('') }}",
        },
    }
    text = f"Tell people that recovery of {environment.name} is in trouble."
    yield _deployment("alert", environment.name, text, {"environment": environment.name}, triggers=[trigger])


def _recover(environment: Environment) -> dict[str, Any]:
    """In the escrow pool, and without a schedule: a person starts it, and a person confirms it."""
    text = f"Bring {environment.service.name} back in {environment.name} after a disaster; asks for one confirmation."
    return _deployment("recover", environment.name, text, {"environment": environment.name}, pool=ESCROW_POOL)
