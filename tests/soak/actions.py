"""What may happen to a vault, as data: a sequence can be written down, replayed and made shorter."""

from __future__ import annotations

import random
from dataclasses import dataclass

STORES = 2
_WEIGHTS = {
    "backup": 10,
    "wal": 2,
    "prune": 5,
    "wait": 4,
    "replicate": 3,
    "add": 1,
    "remove": 1,
    "leave": 2,
    "return": 2,
    "verify": 1,
}
_INTRUSIONS = ("backup", "backup", "prune", "wait", "replicate", "add", "remove", "wal")
_MAY_SHARE = ("backup", "replicate")
"""Programs that may name what a prune is about to sweep: they meet whole prunes, the wait included."""
_NEVER_BESIDE = {
    "add": ("add", "remove"),
    "remove": ("add", "remove"),
    "verify": ("prune", "add", "remove"),  # what is read back may then be gone, or the reader may
}
_LATEST_CALL = {"backup": 26, "prune": 30, "replicate": 40, "add": 40, "remove": 40, "wal": 6, "verify": 30}


@dataclass(frozen=True)
class Disturbance:
    """Something at one call to one store.

    Attributes:
        what: `kill`: the process ends; `fail`: no answer; `run`: another program runs to its end meanwhile.
        store: Number of the store.
        call: Which call of the process to that store, from 1.
        after: After the store has done what was asked, or before.
        runs: The other programs.
    """

    what: str
    store: int
    call: int
    after: bool = False
    runs: tuple[Action, ...] = ()


@dataclass(frozen=True)
class Action:
    """One program run, or the world changing.

    Attributes:
        what: One of the names above.
        dice: Decides the rest: which writer, kind of point, which store.
        disturbance: What happens in the middle of it.
    """

    what: str
    dice: int = 0
    disturbance: Disturbance | None = None


def sequence(seed: int) -> list[Action]:
    """Return a random sequence of 4 to 10 actions."""
    luck = random.Random(seed)
    names, weights = [*_WEIGHTS], [*_WEIGHTS.values()]
    chosen = luck.choices(names, weights, k=luck.randint(3, 9))
    return [_action(luck, what, deep=True) for what in ["backup", *chosen]]


def _action(luck: random.Random, what: str, *, deep: bool) -> Action:
    dice = luck.getrandbits(32)
    disturbance = _disturbance(luck, what, deep) if what in _LATEST_CALL and luck.random() < 0.6 else None
    return Action(what, dice, disturbance)


def _disturbance(luck: random.Random, what: str, deep: bool) -> Disturbance:
    kind = luck.choice(("kill", "fail", "run", "run") if deep else ("kill", "fail"))
    count = luck.randint(1, 3) if kind == "run" else 0
    if kind == "run" and what in _MAY_SHARE and luck.random() < 0.5:
        runs = tuple(_action(luck, each, deep=False) for each in ("prune", "wait", "prune"))
        return Disturbance(kind, luck.randrange(STORES), luck.randint(1, _LATEST_CALL[what]), luck.random() < 0.5, runs)
    beside = [each for each in _INTRUSIONS if each not in _NEVER_BESIDE.get(what, ())]
    runs = tuple(_action(luck, luck.choice(beside), deep=False) for _ in range(count))
    return Disturbance(kind, luck.randrange(STORES), luck.randint(1, _LATEST_CALL[what]), luck.random() < 0.5, runs)
