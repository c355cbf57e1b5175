"""The table of docs/security.md: 26 rows, and every test that it names is there."""

import ast
import re

import pytest

from config.settings import BASE_DIR

ROWS = re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", (BASE_DIR / "docs" / "security.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_no_row_is_missing():
    assert [int(number) for number, _ in ROWS] == list(range(1, 27))


@pytest.mark.parametrize(("number", "tests"), ROWS, ids=[number for number, _ in ROWS])
def test_every_row_names_tests_that_exist(number, tests):
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", tests)
    assert named, f"row {number} names no test"
    for path, name in named:
        tree = ast.parse((BASE_DIR / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{path} has no {name}"
