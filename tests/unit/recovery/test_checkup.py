"""A check-up never hangs, hides nothing, and ends with the code that fits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from coffer.errors import NotAllowed, UsageError
from coffer.recovery.checkup import Finding, Looking, Verdict, examine, exit_code, run_looks, still_looking


def looking(recovery: object = None) -> Looking:
    return Looking(cast("Any", SimpleNamespace(name="production", recovery=recovery)), None)


def fine(look: Looking) -> Iterator[Finding]:
    yield look.ok("fine", "all is well")


def test_a_look_that_hangs_is_left_alone_and_the_others_are_heard() -> None:
    let_go = threading.Event()

    def hangs(look: Looking) -> Iterator[Finding]:
        yield look.ok("before", "not told: it did not end")
        let_go.wait()

    began = time.monotonic()
    found = run_looks(looking(), [("store", hangs), ("fine", fine)], 0.2)
    assert time.monotonic() - began < 5
    assert [(each.what, each.state) for each in found] == [("store", Verdict.FAIL), ("fine", Verdict.OK)]
    assert "no answer within 0.2 s" in found[0].said
    assert exit_code(found) == 17
    assert still_looking()
    let_go.set()


def test_an_error_is_a_finding_and_so_is_a_bug() -> None:
    def refused(_: Looking) -> Iterator[Finding]:
        raise NotAllowed("it says no", detail="403", resolution="Ask for the right")
        yield

    def broken(_: Looking) -> Iterator[Finding]:
        raise KeyError("password=hunter2")
        yield

    found = run_looks(looking(), [("a", refused), ("b", broken), ("c", fine)], 5)
    assert [each.state for each in found] == [Verdict.FAIL, Verdict.FAIL, Verdict.OK]
    assert (found[0].said, found[0].advice, found[0].code) == ("it says no: 403", "Ask for the right", 17)
    assert "hunter2" not in str(found[1].as_dict())


@pytest.mark.parametrize(("codes", "ends"), [([], 0), ([0, 0], 0), ([17], 17), ([17, 14], 14), ([14], 14)])
def test_it_ends_with_the_code_that_fits(codes: list[int], ends: int) -> None:
    found = [Finding("x", "y", Verdict.FAIL if code else Verdict.WARN, "", code=code) for code in codes]
    assert exit_code(found) == ends


def test_a_wrong_file_is_no_outside_failure() -> None:
    assert looking().error("keys", UsageError("no such file")).code == 14


def test_an_environment_that_protects_nothing_says_so() -> None:
    [only] = examine(looking().environment)
    assert only.state is Verdict.WARN
    assert "nothing of it is protected" in only.said
