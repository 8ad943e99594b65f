"""What a Redis sends to a replica, and how its RDB begins and ends: anything may come, and only the right is taken."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.errors import CofferError, IntegrityError, NotAllowed, OutsideSystemError, Unreachable
from coffer.sources.redis.rdb import check_tail, parse_head
from coffer.sources.redis.replication import FullResync, ReplicaStream, check_match

ID = "7576061962ef3ac444b4f4513009fbdb97f0e579"
MARK = b"m" * 40


def stream(data: bytes, cuts: int = 1) -> ReplicaStream:
    """A connection that gives a few bytes at a time and then ends."""
    rest = memoryview(data)

    def receive(most: int) -> bytes:
        nonlocal rest
        taken, rest = bytes(rest[: min(most, cuts)]), rest[min(most, cuts) :]
        return taken

    return ReplicaStream(receive)


def text(value: bytes) -> bytes:
    return bytes([len(value)]) + value


HEAD = b"REDIS0010" + b"\xfa" + text(b"redis-ver") + text(b"7.0.15") + b"\xfa" + text(b"redis-bits") + b"\xc0\x40"


@given(content=st.binary(max_size=300), cuts=st.integers(1, 90), pings=st.integers(0, 3), by_mark=st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_copy_comes_as_it_was_sent_however_it_is_cut(content: bytes, cuts: int, pings: int, by_mark: bool) -> None:
    head = b"+FULLRESYNC %s 42\r\n" % ID.encode() + b"\n" * pings
    body = b"$EOF:" + MARK + b"\r\n" + content + MARK if by_mark else b"$%d\r\n" % len(content) + content
    come = stream(head + body, cuts)
    assert come.answer() == FullResync(ID, 42)
    assert b"".join(come.content()) == content


@given(content=st.binary(min_size=1, max_size=200), kept=st.integers(0, 199), by_mark=st.booleans())
@settings(deadline=None)
def test_a_copy_that_is_cut_off_is_no_copy(content: bytes, kept: int, by_mark: bool) -> None:
    body = b"$EOF:" + MARK + b"\r\n" + content + MARK if by_mark else b"$%d\r\n" % len(content) + content
    come = stream(body[: max(0, len(body) - 1 - kept % len(body))], 64)
    with pytest.raises(Unreachable):
        list(come.content())


@given(data=st.binary(max_size=120))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_ends_in_one_clear_error_or_a_copy(data: bytes) -> None:
    come = stream(data, 16)
    with suppress(CofferError):
        come.answer()
        list(come.content())


def test_what_is_refused_says_what_to_grant() -> None:
    with pytest.raises(NotAllowed, match="psync"):
        stream(b"-NOPERM this user has no permissions to run the 'psync' command\r\n").answer()
    with pytest.raises(OutsideSystemError, match="NOMASTERLINK"):
        stream(b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n").answer()
    assert stream(b"-ERR unknown command 'PSYNC'\r\n").answer() is None


def test_the_head_says_whose_it_is() -> None:
    head = parse_head(HEAD + b"\xfe\x00")
    assert (head.format, head.fields) == (10, {"redis-ver": "7.0.15", "redis-bits": "64"})
    check_match(FullResync(ID, 1), {"repl-id": ID})
    check_match(None, {"repl-id": ID})
    with pytest.raises(IntegrityError):
        check_match(FullResync(ID, 1), {"repl-id": "0" * 40})


@given(data=st.binary(max_size=100), cut=st.integers(0, 60))
@settings(max_examples=300, deadline=None)
def test_a_head_may_be_cut_off_or_nonsense_behind_its_magic(data: bytes, cut: int) -> None:
    assert parse_head(b"REDIS0011" + data).format == 11
    assert set(parse_head(HEAD[: 9 + cut]).fields) <= {"redis-ver", "redis-bits"}
    if not data.startswith(b"REDIS"):
        with pytest.raises(IntegrityError):
            parse_head(data)


def test_an_end_that_is_none() -> None:
    check_tail(HEAD + b"\xff" + bytes(8))
    for bad in (b"", b"\xff", HEAD + bytes(9)):
        with pytest.raises(IntegrityError):
            check_tail(bad)
