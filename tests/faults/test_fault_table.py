"""The document says what the tests show, and every test of a fault says what it shows."""

from __future__ import annotations

import ast

from tests.faults import table


def test_the_document_is_the_one_that_the_tests_make() -> None:
    assert table.DOCUMENT.read_text() == table.document(), "make it anew: python -m tests.faults.table"


def test_every_fault_test_is_in_the_table() -> None:
    listed = {test.rpartition("::")[2] for _, test in table.rows()}
    written = {
        each.name
        for path in table.HERE.glob("test_fault_*.py")
        if path.name != "test_fault_table.py"
        for each in ast.walk(ast.parse(path.read_text()))
        if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
    }
    assert written <= listed
    assert len(listed) > 30
