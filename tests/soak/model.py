"""The model: which points were committed and what each must give back; and programs that run against the vault."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from coffer.errors import (
    CofferError,
    HeldByAnother,
    IntegrityError,
    NotInEveryStore,
    NotThere,
    OutsideSystemError,
    RefusedByPolicy,
)
from coffer.keys import Recipient
from coffer.vault.administration import VaultAdministration
from coffer.vault.capture import Kind
from coffer.vault.points import ObjectList
from coffer.vault.pruning import execute, plan_prune
from coffer.vault.reader import VaultReader
from coffer.vault.replication import replicate
from coffer.vault.retention import RetentionPolicy
from coffer.vault.stores.protocol import Store
from coffer.vault.verification import verify_at_rest
from coffer.vault.writer import VaultWriter
from tests.soak import check
from tests.soak.actions import STORES, Action, Disturbance
from tests.soak.cheap import make_cheap
from tests.soak.check import Broken
from tests.soak.process import Killed, Process
from tests.soak.source import Files, Source, next_tree
from tests.soak.vault import Vault

GRACE_HOURS = 24
POLICY = RetentionPolicy(keep_last=1, require_proof="none", grace_hours=GRACE_HOURS)
CLUSTER = "7300000000000000001"


@dataclass
class Model:
    """Runs actions; after each, everything that was ever promised is compared with the stores.

    Attributes:
        vault: The vault under test.
        contents: What each capture gave, by label.
        committed: The label of each point that exists, by the name of its manifest.
        wal: What was put under each segment's name, and when.
        recipients: Numbers of the identities that may read.
        readers: Those of them that can: a change that was cut short must be settled first.
        away: Numbers of the stores that do not answer.
    """

    vault: Vault
    contents: dict[int, Files] = field(default_factory=lambda: {0: {}})
    committed: dict[str, int] = field(default_factory=dict)
    wal: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    recipients: set[int] = field(default_factory=lambda: {0})
    readers: set[int] = field(default_factory=lambda: {0})
    away: set[int] = field(default_factory=set)
    lists: dict[str, ObjectList] = field(default_factory=dict)
    segments: int = 0

    def perform(self, action: Action) -> None:
        """Run one program to its end, or the world's change, and check what it left.

        Raises:
            Broken: A promise was not kept.
        """
        process = Process(self.vault.stores, frozenset(self.away), action.disturbance, self._intrude)
        undisturbed = not self.away
        try:
            getattr(self, f"_{action.what}")(process, random.Random(action.dice))
        except Killed:
            if not process.dead:
                raise
        except CofferError as error:
            if not isinstance(error, _expected(action)):
                raise
            if undisturbed and not process.disturbed:
                raise Broken(f"{action.what} failed although nothing stood in its way: {error}") from error
        process.end()
        self._check()

    def finish(self) -> None:
        """Let every store come back, and read back what was committed."""
        self.away.clear()
        VaultAdministration(self.vault.stores, self.vault.identities[min(self.readers)]).settle()
        self.readers = self.recipients
        self._check()
        self._check_restores()

    def clean_up(self) -> None:
        """Ask for the rest, once everything is back: a prune, copies, a backup, a prune, and that all verifies."""
        self._prune_all()
        for source in range(STORES):
            self._bring_up(self.vault.stores, source)
            self._check()
        self.perform(Action("backup", len(self.contents)))
        self._prune_all()
        left = check.left_over(self.vault.stores, self.lists)
        if left:
            raise Broken(f"prune leaves {sorted(left)}")
        self._check_verify()

    def _intrude(self, disturbance: Disturbance) -> None:
        for action in disturbance.runs:
            self.perform(action)

    def _backup(self, process: Process, luck: random.Random) -> None:
        writer = VaultWriter.open(process.stores, self.vault.writers[luck.randrange(2)])
        label = len(self.contents)
        self.contents[label] = next_tree(self.contents, luck)
        kind = luck.choice((Kind.FULL, Kind.INCREMENTAL, Kind.INCREMENTAL, Kind.DIFFERENTIAL, Kind.DIFFERENTIAL))
        with writer.begin_point(service="app", kind=kind, started=self.vault.now()) as builder:
            builder.capture(Source(label, self.contents))
            builder.commit({})

    def _wal(self, process: Process, luck: random.Random) -> None:
        self.segments += 1
        segment = f"{self.segments:024X}"
        data = luck.randbytes(20)
        at = self.vault.now()
        try:
            VaultWriter.open(process.stores, self.vault.writers[0]).put_wal(CLUSTER, segment, data)
        except NotInEveryStore:
            self.wal[segment] = (data, at)
            raise
        self.wal[segment] = (data, at)

    def _prune(self, process: Process, luck: random.Random) -> None:
        plan = plan_prune(process.stores, self.vault.pruner, POLICY, self.vault.now())
        execute(plan, process.stores)

    def _wait(self, process: Process, luck: random.Random) -> None:
        self.vault.pass_time(luck.choice((1, 13, 25, 25, 49)))

    def _replicate(self, process: Process, luck: random.Random) -> None:
        source = luck.randrange(STORES)
        replicate(process.stores[source], [store for store in process.stores if store is not process.stores[source]])

    def _bring_up(self, stores: Sequence[Store], source: int) -> None:
        """Replicate where nothing is in the way: then everything must be copied."""
        report = replicate(stores[source], [store for store in stores if store is not stores[source]])
        if not report.ok:
            raise Broken(f"not everything was copied: {report.problems}")

    def _add(self, process: Process, luck: random.Random) -> None:
        new = luck.choice([n for n in range(3) if n not in self.recipients] or [None])
        if new is not None:
            recipient = Recipient(self.vault.identities[new].recipient.public, f"id{new}")
            self._change(process, luck, lambda who: who.add_recipient(recipient))

    def _remove(self, process: Process, luck: random.Random) -> None:
        if len(self.recipients) > 1:
            asking = luck.choice(sorted(self.readers))
            going = luck.choice(sorted(self.recipients - {asking}))
            fingerprint = self.vault.identities[going].recipient.fingerprint
            self._change(process, luck, lambda who: who.remove_recipient(fingerprint), asking)

    def _leave(self, process: Process, luck: random.Random) -> None:
        self.away = {luck.randrange(STORES)}

    def _return(self, process: Process, luck: random.Random) -> None:
        self.away.clear()

    def _verify(self, process: Process, luck: random.Random) -> None:
        reader = VaultReader.open(process.stores, self.vault.identities[min(self.readers)])
        found = [each for each in reader.verify().problems if each.what not in ("missing", "unreadable")]
        if found:
            raise Broken(f"verify found what nobody did: {found}")

    def _change(
        self, process: Process, luck: random.Random, change: Callable[[VaultAdministration], object], who: int = -1
    ) -> None:
        asking = who if who >= 0 else luck.choice(sorted(self.readers))
        change(VaultAdministration(process.stores, self.vault.identities[asking]))
        self._learn()
        self.readers = self.recipients

    def _check(self) -> None:
        """Compare the stores with everything that was promised so far; reads no content."""
        self._learn()
        for store in self.vault.stores:
            check.check_whole(store, self.lists)
        present = {name for store in self.vault.stores for name in check.manifests(store)}
        gone = self.committed.keys() - present
        if gone:
            self._check_retention(gone, present)
        for name in gone:
            del self.committed[name]

    def _check_retention(self, gone: set[str], present: set[str]) -> None:
        """Only what has as many newer points as the policy keeps may go."""
        for name in gone:
            newer = [each for each in present if _counter(each) >= _counter(name)]
            if len(newer) < POLICY.keep_last:
                raise Broken(f"{name} is gone although the policy keeps it")

    def _learn(self) -> None:
        """Take in which points exist and who may read, as the stores say it."""
        recipients = check.recipients(self.vault.stores)
        self.recipients = {n for n, each in enumerate(self.vault.identities) if each.fingerprint in recipients}
        self.readers = self.readers & self.recipients
        if {name for store in self.vault.stores for name in check.manifests(store)} - self.committed.keys():
            self.committed |= check.labels(self.vault.stores, replace(self.vault.writers[0], path=None))

    def _check_restores(self) -> None:
        """Every store by itself gives back every point that it has, to everyone who may read."""
        expected = {name: self.contents[label] for name, label in self.committed.items()}
        for number, store in enumerate(self.vault.stores):
            readers = sorted(self.readers)
            identity = replace(self.vault.identities[readers[number % len(readers)]], path=None)
            check.check_restores(store, identity, expected, self.vault.folder)
            check.check_wal(store, identity, self.wal)

    def _check_verify(self) -> None:
        identity = self.vault.identities[min(self.readers)]
        report = VaultReader.open(self.vault.stores, identity).verify()
        at_rest = verify_at_rest(self.vault.stores)
        if not report.ok or not at_rest.ok:
            raise Broken(f"verify finds problems where nobody made any: {report.problems + at_rest.problems}")
        if len(report.points) != len(self.committed):
            raise Broken(f"verify knows {len(report.points)} points, the model {len(self.committed)}")

    def _prune_all(self) -> None:
        """Mark, wait, sweep."""
        self.perform(Action("prune"))
        self.vault.pass_time(2 * GRACE_HOURS)
        self.perform(Action("prune"))


def _expected(action: Action) -> tuple[type[CofferError], ...]:
    """Return how a program may fail when it is disturbed."""
    runs = {each.what for each in action.disturbance.runs} if action.disturbance else set()
    if action.what == "backup" and {"prune", "wait"} <= runs:  # what it was reading was swept: it ran for too long
        return OutsideSystemError, NotInEveryStore, RefusedByPolicy, HeldByAnother, IntegrityError
    if action.what == "prune" and "prune" in runs:  # each finds gone what the other removed
        return OutsideSystemError, NotThere, IntegrityError, RefusedByPolicy
    return OutsideSystemError, NotInEveryStore, RefusedByPolicy, HeldByAnother


def _counter(manifest: str) -> int:
    return int(manifest.split("/")[2].partition("-")[0])


def play(actions: Sequence[Action], *, clean_up: bool = True) -> None:
    """Play a sequence against a new vault.

    Args:
        actions: The sequence.
        clean_up: Afterwards ask for everything: what was committed is always read back.

    Raises:
        Broken: A promise was not kept.
    """
    put_back = make_cheap()
    try:
        with Vault() as vault:
            model = Model(vault)
            for action in actions:
                model.perform(action)
            model.finish()
            if clean_up:
                model.clean_up()
    finally:
        put_back()
