"""Whatever is missing of a log is found: between segments, at a fork, of a point, of a timeline's history."""

from __future__ import annotations

import time

from coffer.errors import IntegrityError, NotThere
from coffer.sources.postgres.wal import Piece, Segment
from coffer.sources.postgres.wal_audit import PeriodicAudit, WalAudit, audit_wal
from coffer.sources.postgres.wal_slot import SlotHealth, SlotState

SIZE = 16 * 1024 * 1024


class Reader:
    def __init__(self, *names: str, **histories: bytes) -> None:
        self.histories = {f"{int(key[1:]):08X}.history": text for key, text in histories.items()}
        self.names = [*names, *self.histories]

    def wal_names(self, cluster: str, /) -> list[str]:
        return self.names

    def get_wal(self, cluster: str, name: str, /) -> bytes:
        return self.histories[name]


def names(timeline: int, *numbers: int) -> list[str]:
    return [Segment(timeline, number).name for number in numbers]


def gaps(audit: WalAudit) -> list[str]:
    return [str(gap) for gap in audit.gaps]


def test_a_whole_log_is_whole_over_two_promotions() -> None:
    first, second = b"1\t0/3000000\twhy\n", b"1\t0/3000000\twhy\n2\t0/5800000\twhy\n"
    found = audit_wal(Reader(*names(1, 1, 2, 3), *names(2, 3, 4, 5), *names(3, 5, 6), t2=first, t3=second), "main")
    assert (found.ok, found.damage()) == (True, None)
    assert found.newest == {1: names(1, 3)[0], 2: names(2, 5)[0], 3: names(3, 6)[0]}


def test_gaps_are_found_inside_a_timeline_and_on_both_sides_of_a_fork() -> None:
    audit = audit_wal(Reader(*names(1, 1, 2, 5), *names(2, 9, 10), t2=b"1\t0/8000000\twhy\n"), "main")
    assert gaps(audit) == [
        f"{names(1, 3)[0]} … {names(1, 4)[0]}", f"{names(1, 6)[0]} … {names(1, 7)[0]}", names(2, 8)[0],
    ]  # fmt: skip
    damage = audit.damage()
    assert isinstance(damage, IntegrityError)
    assert names(1, 3)[0] in str(damage)


def test_a_timeline_without_history_and_a_point_without_its_log_are_said() -> None:
    facts = {"segment_size": SIZE, "wal_ranges": [[2, "0/4000028", "0/6000100"]]}
    audit = audit_wal(Reader(*names(2, 4, 5)), "main", facts=[facts])
    assert audit.without_history == (2,)
    assert audit.needed == ("00000002.history", names(2, 6)[0])
    assert not audit.ok


def test_an_unfinished_segment_is_the_newest_and_no_log_is_said() -> None:
    piece = Piece(names(1, 3)[0], 0, 4000).name
    assert audit_wal(Reader(*names(1, 1, 2), piece), "main").newest == {1: names(1, 3)[0]}
    assert audit_wal(Reader(piece), "main").damage() is None
    assert isinstance(audit_wal(Reader(), "main").damage(), NotThere)


def test_what_goes_missing_is_said_once_while_a_receiver_runs() -> None:
    reader, lines = Reader(*names(1, 1, 2)), list[str]()
    audit = PeriodicAudit(reader, "main", lines.append, every=0, segment_size=SIZE)
    reader.names = names(1, 1, 3)
    deadline = time.monotonic() + 10
    while not lines:
        audit.tick()
        assert time.monotonic() < deadline
    for _ in range(50):
        audit.tick()
    assert lines == [f"the log of main is not whole: timeline 1: {names(1, 2)[0]} missing"]


def test_a_slot_says_in_time_how_much_it_keeps() -> None:
    mib = 1 << 20
    assert SlotHealth("coffer").state is SlotState.ABSENT
    quiet = SlotHealth("coffer", True, "reserved", 10 * mib, 1000 * mib, 990 * mib, 900 * mib, at=100.0)
    assert quiet.state is SlotState.OK
    grown = SlotHealth("coffer", False, "extended", 500 * mib, 1000 * mib, 500 * mib, 410 * mib, at=170.0)
    assert grown.state is SlotState.IN_DANGER
    assert grown.seconds_left(quiet) == 410 * 70 / 490
    assert quiet.seconds_left(grown) is None
    assert SlotHealth("c", False, "reserved", mib, None, None, None).state is SlotState.IDLE
    assert SlotHealth("c", True, "reserved", 60 * mib, None, None, 40 * mib).state is SlotState.IN_DANGER
    assert SlotHealth("c", False, "lost").state is SlotState.LOST
    assert "500 MiB of log of at most 1000 MiB" in str(grown)
