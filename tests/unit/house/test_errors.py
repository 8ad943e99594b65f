from __future__ import annotations

import pickle
import sys

import pytest

from coffer import errors
from coffer.processes import run

CONTRACT = {
    errors.CofferError: 1,
    errors.UsageError: 2,
    errors.NoVault: 10,
    errors.HeldByAnother: 11,
    errors.WrongKey: 12,
    errors.IntegrityError: 13,
    errors.RefusedByPolicy: 14,
    errors.UnsafeTarget: 15,
    errors.NotThere: 16,
    errors.OutsideSystemError: 17,
    errors.ApprovalError: 18,
    errors.NotInEveryStore: 19,
    errors.Interrupted: 130,
}


@pytest.mark.parametrize(("kind", "code"), CONTRACT.items(), ids=lambda value: getattr(value, "__name__", str(value)))
def test_exit_codes_are_those_of_the_contract(kind: type[errors.CofferError], code: int) -> None:
    assert kind("x").exit_code == code


def test_an_error_is_one_line_whatever_it_holds() -> None:
    error = errors.IntegrityError("pack 7\nis damaged", detail="a\nb", resolution="Restore\n it")
    assert "\n" not in str(error)
    assert str(error) == "pack 7 is damaged: a b. Restore it"


def test_an_error_survives_pickling_as_prefect_does_it() -> None:
    error = errors.Unreachable("no answer", detail="d", resolution="r")
    error.store = "s3://a"  # type: ignore[attr-defined]
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.as_dict(), again.store) == (errors.Unreachable, error.as_dict(), "s3://a")


def test_a_program_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises(errors.OutsideSystemError, match="is not installed"):
        run(["coffer-no-such-program"], timeout=5)


def test_a_secret_is_in_no_message() -> None:
    with pytest.raises(errors.OutsideSystemError) as caught:
        run(
            [sys.executable, "-c", "import sys; sys.exit('the word is hunter2')", "hunter2"],
            timeout=20,
            secrets=["hunter2"],
        )
    assert "hunter2" not in str(caught.value)
    assert "[secret]" in str(caught.value)


def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(errors.OutsideSystemError, match=r"took longer than 0\.3 s"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.3)


def test_an_expected_exit_code_is_an_answer() -> None:
    assert run([sys.executable, "-c", "raise SystemExit(3)"], timeout=20, accept=(0, 3)).exit_code == 3
