"""Keeps a receiver going through outages: what the stores cannot take, the slot keeps; how much, is said in time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from coffer.errors import CofferError, NoVault, OutsideSystemError
from coffer.sources.postgres.wal_receiver import WalReceiver
from coffer.sources.postgres.wal_slot import SlotHealth, SlotState

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
_STEADY = 60.0


def keep_receiving(
    make: Callable[[], WalReceiver],
    stop: threading.Event,
    *,
    look: Callable[[], SlotHealth],
    log: Callable[[str], None],
    longest_pause: float = LONGEST_PAUSE,
) -> None:
    """Receive until told to stop; begin again where a server or store went away.

    Args:
        make: Makes a receiver; opening the vault is part of it.
        stop: Set it to end.
        look: Looks at the slot.
        log: Takes lines for people: each outage, and after it how much log the slot keeps.
        longest_pause: Seconds between two tries at most.

    Raises:
        CofferError: What no waiting cures: other bytes under a name, another cluster, a wrong configuration.
    """
    pause, before, opened = FIRST_PAUSE, None, False
    while not stop.is_set():
        started = threading.Event()
        steady = threading.Timer(_STEADY, started.set)
        steady.daemon = True
        steady.start()
        try:
            receiver = make()
            opened = True
            receiver.run(stop)
            return
        except (OutsideSystemError, NoVault) as error:
            if isinstance(error, NoVault) and not opened:
                raise  # later it means that the folder is not mounted any more
            pause = FIRST_PAUSE if started.is_set() else min(pause * 2, longest_pause)
            log(f"{error}. Nothing is lost: the slot keeps it; again in {pause:.0f} s")
        finally:
            steady.cancel()
        before = _report(look, before, log)
        stop.wait(pause)


def _report(look: Callable[[], SlotHealth], before: SlotHealth | None, log: Callable[[str], None]) -> SlotHealth | None:
    """Say how the slot is: before the disk is full, and before the server drops what nobody archived."""
    try:
        health = look()
    except CofferError:  # the server itself is away: then its log does not grow either
        return before
    left = health.seconds_left(before) if before else None
    urgent = "DANGER: " if health.state in (SlotState.IN_DANGER, SlotState.LOST) else ""
    log(f"{urgent}{health}" + (f"; at this pace full in {left / 60:.0f} min" if left is not None else ""))
    return health
