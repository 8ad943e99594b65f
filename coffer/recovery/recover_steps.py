"""The steps of a recovery as values: what each does, and when it is done.

A step whose state lasts is judged by looking (a program answers). One whose state a later step changes again
is judged by the journal, and by looking for the case that a crash came between the act and its note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from coffer.recovery.recover_plan import CONFIGURATION_KINDS, RecoveryPlan


@dataclass(frozen=True)
class Observed:
    """What is so, at one moment.

    Attributes:
        noted: Keys of steps that the journal has as done.
        aside: Roles whose place holds no old data.
        recovered: Roles whose place holds what was recovered.
        database_answers: PostgreSQL takes connections.
        redis_answers: Redis answers.
        instance_serves: The recovered instance runs and is healthy, and the proxy sees it.
        traffic_moved: Requests go to the recovered instance, and the host's record says so.
        record_moved: The DNS record leads to the recovered place.
    """

    noted: frozenset[str] = frozenset()
    aside: frozenset[str] = frozenset()
    recovered: frozenset[str] = frozenset()
    database_answers: bool = False
    redis_answers: bool = False
    instance_serves: bool = False
    traffic_moved: bool = False
    record_moved: bool = False


@dataclass(frozen=True)
class Step:
    """One thing that a recovery does.

    Attributes:
        key: Its name in the journal.
        what: What it does, for people.
        counts: It stands between the disaster and the first correct answer.
    """

    key: str
    what: str
    counts: bool = field(default=True, kw_only=True)

    def is_done(self, observed: Observed) -> bool:
        """Tell whether its state is reached."""
        return self.key in observed.noted


@dataclass(frozen=True)
class PrepareHost(Step):
    """Make a bare host ready: folders, network, HAProxy."""


@dataclass(frozen=True)
class OutOfTraffic(Step):
    """Send requests to nobody, and remove the instances of before."""


@dataclass(frozen=True)
class StopPrograms(Step):
    """Stop what works on the old data."""


@dataclass(frozen=True)
class SetAside(Step):
    """Rename what is left of old data. Taken back by hand: it is all there, under a name that says whose it was."""

    role: str = ""

    def is_done(self, observed: Observed) -> bool:
        """Tell whether no old data stands there."""
        return self.key in observed.noted or self.role in observed.aside


@dataclass(frozen=True)
class BringBack(Step):
    """Restore one part beside its place, whole, and give it its name then."""

    role: str = ""
    source: str = ""

    def is_done(self, observed: Observed) -> bool:
        """Tell whether what was recovered stands at its place."""
        return self.role in observed.recovered


@dataclass(frozen=True)
class BringConfiguration(Step):
    """Restore configuration into a folder of its own: people compare it, nothing reads it by itself."""

    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Replay(Step):
    """Bring the database to its moment, where nobody can reach it."""


@dataclass(frozen=True)
class StartDatabase(Step):
    """Start PostgreSQL for the service."""

    def is_done(self, observed: Observed) -> bool:
        """Tell whether it answers."""
        return observed.database_answers


@dataclass(frozen=True)
class StartRedis(Step):
    """Start Redis for the service."""

    def is_done(self, observed: Observed) -> bool:
        """Tell whether it answers."""
        return observed.redis_answers


@dataclass(frozen=True)
class StartShipping(Step):
    """Start what ships the log and the files of the new timeline into the vault."""


@dataclass(frozen=True)
class FetchImage(Step):
    """Bring the image that ran then to the host, by its digest."""


@dataclass(frozen=True)
class StartService(Step):
    """Start an instance, see it healthy, and warm it up; nobody is sent to it."""

    def is_done(self, observed: Observed) -> bool:
        """Tell whether it runs and the proxy sees it up."""
        return observed.instance_serves


@dataclass(frozen=True)
class AskQuestions(Step):
    """Ask the service whether its parts agree with each other."""


@dataclass(frozen=True)
class MoveTraffic(Step):
    """Send people to the recovered instance."""

    def is_done(self, observed: Observed) -> bool:
        """Tell whether they are."""
        return observed.traffic_moved


@dataclass(frozen=True)
class MoveRecord(Step):
    """Let the DNS record lead to this place."""

    def is_done(self, observed: Observed) -> bool:
        """Tell whether it does."""
        return observed.record_moved


@dataclass(frozen=True)
class WriteLedger(Step):
    """Write down what was done, signed and chained."""


@dataclass(frozen=True)
class TakePoint(Step):
    """Take a recovery point of the new timeline."""


@dataclass(frozen=True)
class Abilities:
    """What a place and its environment make possible.

    Attributes:
        prepare: The place has no keeper of its own: what runs there is ours to start.
        redis: The service has a Redis.
        questions: Its image can ask questions.
        record: A DNS record leads to it.
        shipping: The keeper keeps what ships log or files.
        point: A writer is at hand.
    """

    prepare: bool = False
    redis: bool = False
    questions: bool = False
    record: bool = False
    shipping: bool = False
    point: bool = False


_ROLES = {"postgres": "database", "files": "files", "redis": "Redis"}


def steps_of(plan: RecoveryPlan, can: Abilities) -> Sequence[Step]:
    """Return the steps of a plan, in their order."""
    parts = [(kind, name) for kind, name in plan.sources.items() if kind in _ROLES]
    configuration = tuple(name for kind, name in plan.sources.items() if kind in CONFIGURATION_KINDS)
    steps: list[Step] = [
        PrepareHost("prepare-host", "make the host ready"),
        OutOfTraffic("out-of-traffic", "take the service out of traffic, remove its old instances"),
        StopPrograms("stop-programs", "stop what works on the old data"),
        *(SetAside(f"set-aside-{kind}", f"set the old {_ROLES[kind]} aside", role=kind) for kind, _ in parts),
        *(
            BringBack(f"bring-{kind}", f"restore the {_ROLES[kind]}", role=kind, source=name)
            for kind, name in parts
        ),
        BringConfiguration("bring-configuration", "restore the configuration", sources=configuration),
        Replay("replay", f"replay the log to {plan.target}, promote"),
        StartDatabase("start-database", "start PostgreSQL"),
        StartRedis("start-redis", "start Redis"),
        StartShipping("start-shipping", "ship log and files of the new timeline"),
        FetchImage("fetch-image", "bring the image that ran then"),
        StartService("start-service", "start the service, see it healthy"),
        AskQuestions("ask-questions", "ask the service's own questions"),
        MoveTraffic("move-traffic", "send people to it"),
        MoveRecord("move-record", "let the DNS record lead to it"),
        WriteLedger("write-ledger", "write the ledger", counts=False),
        TakePoint("take-point", "take a full point of the new timeline", counts=False),
    ]  # fmt: skip
    left_out = {
        "prepare-host": not can.prepare,
        "start-redis": not can.redis,
        "bring-configuration": not configuration,
        "ask-questions": not can.questions,
        "move-record": not can.record,
        "start-shipping": not can.shipping,
        "take-point": not can.point,
    }
    return [step for step in steps if not left_out.get(step.key, False)]
