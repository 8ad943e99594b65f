"""Facts that release tests start from."""

from __future__ import annotations

from coffer.release.images import ImageReference
from coffer.release.observed import Colour, ObservedColour, ObservedService, Released
from coffer.release.planner import PlanFacts
from coffer.release.service import SecretReference, ServiceSpec

REPOSITORY = "registry.example/creditai"
OLD = ImageReference(REPOSITORY, "sha256:" + "a" * 64)
NEW = ImageReference(REPOSITORY, "sha256:" + "b" * 64)
SPEC = ServiceSpec(
    "creditai",
    "production",
    REPOSITORY,
    3000,
    drain="SIGUSR2",
    reopen="SIGHUP",
    settings={"NODE_ENV": "production"},
    secrets={"DATABASE_URL": SecretReference("block:database/creditai#url", "c" * 64)},
)


def instance(
    image: ImageReference, colour: Colour, *, release: str = "r1", running: bool = True, healthy: bool = True
) -> ObservedColour:
    address = f"172.18.0.{2 + list(Colour).index(colour)}:3000" if running else ""
    return ObservedColour(
        exists=True,
        running=running,
        healthy=running and healthy,
        image=str(image),
        settings_hash=SPEC.settings_hash,
        release=release,
        address=address,
        proxy_address=address,
        proxy_up=running,
    )


def empty_host() -> ObservedService:
    return ObservedService("creditai", "production")


def serving_blue() -> ObservedService:
    return ObservedService(
        "creditai",
        "production",
        active=Colour.BLUE,
        persisted=Colour.BLUE,
        blue=instance(OLD, Colour.BLUE),
        generation=4,
        claimed_by="r1",
        current=Released("r1", str(OLD), Colour.BLUE),
        images=(OLD.digest,),
    )


def facts(release: str = "r2", image: ImageReference = NEW) -> PlanFacts:
    return PlanFacts(release, SPEC, image, "ann")
