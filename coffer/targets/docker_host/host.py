"""A Docker host as a target of releases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from coffer.release.images import ImageReference
from coffer.release.observed import Colour, ObservedColour, ObservedService
from coffer.release.service import ServiceSpec
from coffer.release.steps import AnyStep, Migration
from coffer.targets.docker_host import migrations, record
from coffer.targets.docker_host.actions import Actions
from coffer.targets.docker_host.containers import Containers
from coffer.targets.docker_host.lease import Lease
from coffer.targets.docker_host.probes import ask
from coffer.targets.docker_host.proxy import ProxiedColour, Proxy
from coffer.targets.docker_host.settings import DockerHostSettings
from coffer.targets.protocol import Effect, Fence


class DockerHost:
    """One environment's place on one Docker host: containers, HAProxy in front, a record and a lease.

    Args:
        settings: Where it is.
        secrets: Resolves a secret's reference to its value, when a container is made and never before.
    """

    def __init__(self, settings: DockerHostSettings, secrets: Callable[[str], str]) -> None:
        self.settings = settings
        self.containers = Containers(settings, secrets)
        self.proxy = Proxy(settings)
        self.lease = Lease(settings.directory)

    def observe(self, service: ServiceSpec) -> ObservedService:
        """Look, without changing anything; see `Target.observe`."""
        proxied = self.proxy.colours()
        known = record.read(self.settings.directory)
        applied = migrations.applied(self.settings.database) if self.settings.database and service.migrations else ()
        return ObservedService(
            service=service.name,
            environment=service.environment,
            active=self.proxy.active(),
            persisted=self.proxy.persisted(),
            blue=self._colour(service, Colour.BLUE, proxied[Colour.BLUE]),
            green=self._colour(service, Colour.GREEN, proxied[Colour.GREEN]),
            generation=known.generation,
            claimed_by=known.claimed_by,
            intent=known.intent,
            journal=known.journal,
            current=known.current,
            previous=known.previous,
            images=self.containers.digests(service.repository),
            migrations=applied,
        )

    def perform(self, service: ServiceSpec, step: AnyStep, fence: Fence) -> Effect:
        """Carry out one step; see `Target.perform`."""
        return Actions(self.settings, self.containers, self.proxy, self.lease, service, fence).perform(step)

    def acquire(self, owner: str, within: timedelta, *, takeover: bool = False) -> Fence:
        """Take the lease; see `Target.acquire`."""
        return self.lease.acquire(owner, within, takeover=takeover)

    def release(self, fence: Fence) -> None:
        """Give the lease back; see `Target.release`."""
        self.lease.release(fence)

    def migrations_in(self, service: ServiceSpec, image: ImageReference) -> tuple[Migration, ...]:
        """Return the migrations that an image brings; the image is fetched if it is not here yet.

        Raises:
            NotThere: Neither the engine nor the registry has the image, or it lacks the folder.
        """
        if not service.migrations:
            return ()
        if image.digest not in self.containers.digests(image.repository):
            self.containers.fetch(image)
        return migrations.describe(migrations.read(self.containers.client, image, service.migrations))

    def heal(self, service: ServiceSpec, fence: Fence) -> tuple[str, ...]:
        """Bring the proxy back to where instances really are, after the engine or the host started anew.

        Returns what was changed, a line each.
        """
        changed = []
        with self.lease.guard(fence):
            for colour, proxied in self.proxy.colours().items():
                instance = self.containers.find(service, colour)
                if instance is None or not instance.address or not proxied.address:
                    continue
                if proxied.address != f"{instance.address}:{service.port}":
                    self.proxy.point(colour, instance.address, service.port)
                    changed.append(f"{colour}: {proxied.address} → {instance.address}:{service.port}")
            if changed:
                self.proxy.persist_servers()
        return tuple(changed)

    def _colour(self, service: ServiceSpec, colour: Colour, proxied: ProxiedColour) -> ObservedColour:
        instance = self.containers.find(service, colour)
        in_proxy = {
            "proxy_address": proxied.address,
            "proxy_up": proxied.up,
            "http_sessions": proxied.http_sessions,
            "websocket_sessions": proxied.websocket_sessions,
        }
        if instance is None:
            return ObservedColour(**in_proxy)  # type: ignore[arg-type]
        address = f"{instance.address}:{service.port}" if instance.address and instance.running else ""
        healthy = bool(address) and ask(f"http://{address}{service.health}").status == 200
        return ObservedColour(
            exists=True,
            running=instance.running,
            healthy=healthy,
            image=instance.image,
            settings_hash=instance.settings_hash,
            release=instance.release,
            address=address,
            **in_proxy,  # type: ignore[arg-type]
        )
