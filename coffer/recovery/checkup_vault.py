"""Looks at the vault: keys, stores, clocks, log, promises."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from coffer.errors import CofferError
from coffer.keys import Identity
from coffer.recovery.access import VaultAddress, open_writer
from coffer.recovery.checkup import Finding, Looking
from coffer.recovery.outlook import POSTGRES, look
from coffer.recovery.promises import State, said
from coffer.sources.postgres.wal import SEGMENT_SIZE
from coffer.sources.postgres.wal_audit import audit_wal
from coffer.vault.clocks import SKEW
from coffer.vault.reader import VaultReader
from coffer.vault.stores import Store

_ADVICE = {
    "recovery point": "Look whether the log is shipped (coffer stack status, systemctl status) and points are taken",
    "recovery time": "Take a point now (coffer backup); if that does not help, restore faster or promise less",
    "point": "Look at the last runs of the flow backup in Prefect; take one now",
    "drill": "Run coffer drill on the escrow host and read its report",
}


def keys(looking: Looking) -> Iterator[Finding]:
    """Look whether the writer's file opens the vault, and an identity reads it."""
    address = VaultAddress.of(looking.environment)
    writer = open_writer(looking.environment)
    yield from _private(looking, "writer's key", address.writer_file)
    yield looking.ok("writer's key", f"writes into vault {writer.vault[:8]}…")
    if looking.identity is None:
        yield looking.ok("identity", "not on this host, as it should be where points are taken")
        return
    yield from _private(looking, "identity", looking.identity)
    reader = VaultReader.open(address.open_stores(), Identity.load(looking.identity))
    reader.points(looking.environment.service.name)
    if reader.root_is_pinned:
        yield looking.ok("identity", f"opens vault {reader.vault[:8]}…, root {reader.root[:16]}…")
    else:
        yield looking.warn(
            "identity", f"opens vault {reader.vault[:8]}…, whose root {reader.root[:16]}… it does not pin",
            "Compare the root's fingerprint with the recovery kit",
        )  # fmt: skip


def stores(looking: Looking) -> Iterator[Finding]:
    """Look whether every store answers, keeps locks, and refuses this identity to delete."""
    opened = VaultAddress.of(looking.environment).open_stores()
    if len(opened) < 2:
        yield looking.warn("stores", "there is only one", "Add a second one, in another region")
    for store in opened:
        try:
            yield from _store(looking, store)
        except CofferError as error:
            yield looking.error(store.url, error)


def clock(looking: Looking) -> Iterator[Finding]:
    """Compare this host's clock with each store's: points, marks and locks are dated by them."""
    for store in VaultAddress.of(looking.environment).open_stores():
        try:
            off = (datetime.now(UTC) - store.now()).total_seconds()
        except CofferError as error:
            yield looking.error("clock", error)
            continue
        text = f"{abs(off):.1f} s {'before' if off > 0 else 'behind'} that of {store.url}"
        if abs(off) > SKEW.total_seconds():
            yield looking.fail("clock", text, "Set the clock: no point is taken like this")
        elif abs(off) > SKEW.total_seconds() / 5:
            yield looking.warn("clock", text, "Set the clock, and keep it set (NTP)")
        else:
            yield looking.ok("clock", text)


def log(looking: Looking) -> Iterator[Finding]:
    """Look for what is missing of the log of the newest point's cluster."""
    writer, service = open_writer(looking.environment), looking.environment.service.name
    held = [
        source.facts
        for point in writer.points(service)
        for source in point.sources
        if source.kind == POSTGRES and "cluster" in source.facts
    ]
    if not held:
        yield looking.ok("log", "no point holds a database with a log")
        return
    cluster, size = str(held[-1]["cluster"]), int(str(held[-1].get("segment_size") or SEGMENT_SIZE))
    mine = [facts for facts in held if facts["cluster"] == held[-1]["cluster"]]
    audit = audit_wal(writer, cluster, segment_size=size, facts=mine)
    if audit.ok:
        newest = ", ".join(audit.newest.values()) or "none"
        yield looking.ok("log", f"{audit.segments} segments of {cluster} without a gap, newest {newest}")
    else:
        yield looking.fail(
            "log", "; ".join(audit.lines()[:5]), "Take a full point now: what it needs begins after the gap"
        )


def promises(looking: Looking) -> Iterator[Finding]:
    """Look at what a disaster now would cost, and at the last drill."""
    outlook = look(looking.environment)
    for promise in outlook.promises:
        make: Callable[[str, str, str], Finding] = looking.warn if promise.state is State.IN_DANGER else looking.fail
        if promise.state is State.KEPT:
            yield looking.ok(promise.name, promise.detail)
        else:
            yield make(promise.name, promise.detail, _ADVICE[promise.name])
    watch = looking.environment.recovery.watch if looking.environment.recovery else None
    if watch is not None and not (watch.ping or watch.metrics):
        yield looking.warn(
            "dead man's switch", "nobody would notice without Prefect that points stop coming",
            "Set [recovery.watch] ping or metrics",
        )  # fmt: skip


def _store(looking: Looking, store: Store) -> Iterator[Finding]:
    began = datetime.now(UTC)
    next(iter(store.list("config/")), None)
    took = (datetime.now(UTC) - began).total_seconds()
    may_delete: Callable[[], bool | None] = getattr(store, "may_delete", lambda: None)
    allowed = may_delete()
    if allowed:
        yield looking.fail(
            store.url, "the writer's identity may delete", "Take Delete* from it: deployments/stores has the policy"
        )
    if store.keeps_locks:
        yield looking.ok(
            store.url, f"answers in {said(took) if took >= 1 else f'{took * 1000:.0f} ms'}, locks are on"
            + (", this identity cannot delete" if allowed is False else "")
        )  # fmt: skip
    else:
        yield looking.warn(
            store.url, "answers, but keeps no locks: whoever may write there may also remove",
            "Use a bucket with Object Lock; a folder is no protection from who took the host over",
        )  # fmt: skip


def _private(looking: Looking, what: str, path: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        yield looking.warn(what, f"{path} can be read by others ({mode:o})", f"chmod 600 {path}")
