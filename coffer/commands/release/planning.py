"""`coffer release plan`: what a release would do now. Looks, and touches nothing."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import click

from coffer.commands.release.request import checked, environment_option, idempotency_key, json_option
from coffer.environments import Environment, facts
from coffer.environments.references import resolve_mapping, resolve_text
from coffer.errors import UsageError
from coffer.release.images import ImageReference
from coffer.release.observed import ObservedService
from coffer.release.plan import ReleasePlan
from coffer.release.planner import PlanFacts, plan_release

if TYPE_CHECKING:
    from coffer.targets.docker_host.host import DockerHost


@click.command()
@environment_option
@click.argument("image", metavar="IMAGE@sha256:…")
@click.option("--attempt", default=1, show_default=True, help="As in `release run`.")
@json_option
def plan(environment: str, image: str, attempt: int, as_json: bool) -> None:
    """Show what releasing an image would change, step by step.

    Scans, tests and the recovery point belong to the run: what it asks approval for rests on those too, so its hash is
    another one.
    """
    found, reference = checked(environment, image)
    target, service = _target(found), facts.service_spec(found)
    observed = target.observe(service)
    # Reading an image's migrations would fetch it, and a plan touches nothing.
    here = reference.digest in observed.images
    made = plan_release(
        observed,
        PlanFacts(
            release=idempotency_key(found.name, reference, attempt),
            service=service,
            image=reference,
            requested_by=getpass.getuser(),
            migrations=target.migrations_in(service, reference) if here else (),
        ),
        facts.rollout_policy(found),
    )
    if as_json:
        click.echo(made.to_json())
        return
    for name, value in _table(made, observed, reference, known=here or not service.migrations):
        click.echo(f"{name:12} {value}")
    click.echo()
    for number, line in enumerate(made.describe(), start=1):
        click.echo(f"{number:3}. {line}")


def _target(environment: Environment) -> DockerHost:
    # Docker's library takes its time to import, and only this command needs it.
    from coffer.targets.docker_host.host import DockerHost
    from coffer.targets.docker_host.settings import DockerHostSettings

    if len(environment.target.hosts) != 1:
        raise UsageError(f"{environment.name} names several hosts", resolution="Name one host an environment")
    database = environment.release.database
    mapping = resolve_mapping(environment.target.hosts[0])
    settings = DockerHostSettings.from_mapping(mapping, database=resolve_text(database) if database else "")
    return DockerHost(settings, secrets=_no_secrets)


def _no_secrets(reference: str) -> str:
    raise AssertionError(f"a plan starts no container, so nothing may ask for {reference}")


def _table(
    made: ReleasePlan, observed: ObservedService, image: ImageReference, *, known: bool
) -> list[tuple[str, str]]:
    migrations = ", ".join(each.name for each in made.migrations) or "none"
    return [
        ("environment", f"{made.environment}, generation {made.generation}"),
        ("image", f"{_short(made.old_image) or 'nothing'} → {image.short}"),
        ("serving", f"{observed.active or 'nobody'} → {made.new if made.steps else observed.active or 'nobody'}"),
        ("settings", _settings(made, observed)),
        ("migrations", migrations if known else "known when the run has fetched the image"),
        ("gate", "judged by the run, after it has scanned and tested"),
        ("drift", "; ".join(made.drift) or "none"),
    ]


def _settings(made: ReleasePlan, observed: ObservedService) -> str:
    wanted, now = made.service.settings_hash, observed.serving.settings_hash if observed.serving else ""
    return f"unchanged ({wanted[:12]})" if wanted == now else f"{now[:12] or 'none'} → {wanted[:12]}"


def _short(image: str) -> str:
    return ImageReference.parse(image).short if image else ""
