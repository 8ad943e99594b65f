"""What a recovery will do: a point, a moment, an image, and what it replaces. Chosen once, kept in the journal."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from coffer.errors import NotThere, UsageError
from coffer.recovery.recover_place import RecoveryPlace
from coffer.recovery.target import RestoreTarget, TargetKind, choose_point
from coffer.release.images import ImageReference
from coffer.vault.points import Point
from coffer.vault.reader import VaultReader

CONFIGURATION_KINDS = ("environment", "manifests", "kubernetes", "references", "prefect")


class RecoveryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One recovery of one service.

    Attributes:
        id: Its id; also the end of the names under which old data is set aside.
        environment: Where.
        service: What.
        vault: Id of the vault.
        point: Where the database begins.
        point_started: When that was taken, ISO 8601.
        target_kind: How the moment is named.
        target_value: The moment.
        image: `repository@sha256:…` that ran then; empty if nothing says so.
        sources: Kind of source: its name inside the point.
        replaced: What stands at the places now and will be set aside, for people.
        made: When this was decided, ISO 8601.
        choosing_seconds: How long deciding took.
    """

    id: str
    environment: str
    service: str
    vault: str
    point: str
    point_started: str
    target_kind: str
    target_value: str
    image: str
    sources: dict[str, str]
    replaced: list[str]
    made: str
    choosing_seconds: float = 0.0

    @property
    def target(self) -> RestoreTarget:
        """The moment."""
        return RestoreTarget(TargetKind(self.target_kind), self.target_value)

    def lines(self) -> list[str]:
        """Return what will happen, for whoever has to say yes."""
        image = self.image or "unknown: name it with --image"
        lines = [
            f"recover {self.service} in {self.environment} to {self.target}",
            f"  from point {self.point} of {self.point_started[:19]} UTC, vault {self.vault[:8]}",
            f"  image {image}",
            f"  brings back: {', '.join(f'{kind} ({name})' for kind, name in self.sources.items())}",
        ]
        lines += [f"  set aside, not deleted: {each}" for each in self.replaced]
        return lines if self.replaced else [*lines, "  nothing stands at its places now"]


def make_plan(
    reader: VaultReader,
    environment: str,
    service: str,
    place: RecoveryPlace,
    target: RestoreTarget,
    *,
    image: str = "",
    recovery: str = "",
) -> RecoveryPlan:
    """Choose the point and the image for a moment; nothing is touched.

    Args:
        reader: The vault.
        environment: Where.
        service: Whose points.
        place: Where things stand now.
        target: The moment.
        image: The image by digest; empty: the one that the vault says ran then.
        recovery: Id; empty makes one.

    Raises:
        NotThere: No point reaches the moment.
        IntegrityError: A point is not genuine.
    """
    points = reader.points(service)
    database = _name_of("postgres", points)
    point = choose_point(points, database, target)
    now = datetime.now(UTC)
    plan_id = recovery or f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    return RecoveryPlan(
        id=plan_id,
        environment=environment,
        service=service,
        vault=reader.vault,
        point=point.name,
        point_started=point.started.isoformat(),
        target_kind=target.kind.value,
        target_value=target.value,
        image=image or image_at(points, point, target),
        sources=_sources(points, point, target),
        replaced=[f"{path} → {place.aside(path, plan_id).name}" for path in place.data_folders() if path.exists()],
        made=now.isoformat(),
    )


def image_at(points: Sequence[Point], point: Point, target: RestoreTarget) -> str:
    """Return the image that ran at a moment: the last one named by a point before it, else the first one after.

    A point is taken directly before each release, and names what ran until then.
    """
    moment = target.time
    named = [(each.started, str(each.facts["image"])) for each in points if each.facts.get("image")]
    if target.kind is TargetKind.LATEST:
        return named[-1][1] if named else ""
    after = moment or point.started
    later = [image for started, image in named if started >= after]
    return later[0] if later else (named[-1][1] if named else "")


def _name_of(kind: str, points: Sequence[Point]) -> str:
    names = [source.name for point in points for source in point.sources if source.kind == kind]
    if not names:
        raise NotThere("no point holds a database", resolution="Take one with `coffer backup`")
    return names[-1]


def _sources(points: Sequence[Point], point: Point, target: RestoreTarget) -> dict[str, str]:
    """Return what can be brought back, database first; files may come from a later point than the database."""
    found: Mapping[str, str] = {source.kind: source.name for source in point.sources}
    if target.kind is not TargetKind.POINT:
        later = [source for each in points for source in each.sources if source.kind == "files"]
        found = {**({later[-1].kind: later[-1].name} if later else {}), **found}
    order = ("postgres", "files", "redis", *CONFIGURATION_KINDS)
    return {kind: found[kind] for kind in order if kind in found}


def check_image(image: str, repository: str) -> None:
    """Refuse an image that is not named by digest, or is another service's.

    Raises:
        UsageError: It is.
    """
    if image and (found := ImageReference.parse(image)).repository != repository:
        raise UsageError(f"{found.repository} is not the service's image", detail=f"it is {repository}")
