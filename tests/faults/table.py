"""The table of faults and outcomes: `python -m tests.faults.table` writes docs/faults.md from the tests themselves."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

from tests.faults.outcomes import Outcome

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "faults.md"
_HEAD = """# Faults and what becomes of them

Made from the tests by `python -m tests.faults.table`; a test compares the two, and each test is held to exactly the
errors named here. "Nothing lost": the last committed point, and every other that retention keeps, restores bit for bit,
the next backup succeeds, and prune removes what was left over. Everything at once, at random, against a model:
`tests/faults/test_model.py`, and for as long as one likes `python -m tests.soak`. A network that fails, in front of a
real S3 service: `tests/integration/test_s3_faults.py`; what each call may do there: `test_store_identity.py`.

| fault | error (exit code) | what stays true | test |
|---|---|---|---|
"""


def rows() -> Iterator[tuple[Outcome, str]]:
    """Return every outcome with the test that shows it."""
    for path in sorted([*HERE.glob("test_*.py"), *HERE.parent.glob("integration/test_attacker.py")]):
        package = ".".join(path.relative_to(HERE.parent.parent).with_suffix("").parts)
        for name, each in inspect.getmembers(importlib.import_module(package), inspect.isfunction):
            outcome = getattr(each, "outcome", None)
            if outcome is not None:
                yield outcome, f"{path.parent.name}/{path.stem}.py::{name}"


def document() -> str:
    """Return docs/faults.md as it should be."""
    return _HEAD + "".join(_row(outcome, test) for outcome, test in rows())


def _row(outcome: Outcome, test: str) -> str:
    errors = ", ".join(f"`{error.__name__}` ({error.exit_code})" for error in outcome.errors) or "none"
    return f"| {outcome.fault} | {errors} | {outcome.stays} | `{test}` |\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
