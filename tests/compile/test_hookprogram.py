"""The hook's program: its parts, and the one file that hosts have of them."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from guestnet.act.survey import hook_text
from guestnet.compile.hookprogram import PARTS
from guestnet.faces import hook

FOLDER = Path(hook.__file__).parent
GUARD = "TYPE_CHECKING"  # may stand in several


def tree(part: str) -> ast.Module:
    return ast.parse((FOLDER / f"{part}.py").read_text())


def names(tree: ast.Module) -> Iterator[str]:
    """What a part defines at its top."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))


def test_every_part_is_joined() -> None:
    assert {file.stem for file in FOLDER.glob("*.py")} == {*PARTS, "__init__"}


def test_a_name_stands_for_one_thing() -> None:
    counted = Counter(name for part in PARTS for name in names(tree(part)))
    assert [name for name, times in counted.items() if times > 1 and name != GUARD] == []


def test_parts_use_only_those_before_them() -> None:
    for number, part in enumerate(PARTS):
        for node in ast.walk(tree(part)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("guestnet"):
                before = [f"{hook.__name__}.{name}" for name in PARTS[:number]]
                assert node.module in before, f"{part} imports {node.module}"
                assert all(one.asname is None for one in node.names), "as it is called in the one file"


def test_the_one_file_stands_alone() -> None:
    """It runs under the system's Python with few, cheap modules; what else it imports, it imports late."""
    program = ast.parse(hook_text())
    at_start = [alias.name for node in program.body if isinstance(node, ast.Import) for alias in node.names]
    assert at_start == ["_signal", "fcntl", "os", "sys"]
    every = [node for node in ast.walk(program) if isinstance(node, ast.Import | ast.ImportFrom)]
    found = {alias.name for node in every if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module or "" for node in every if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in found} <= sys.stdlib_module_names


def test_the_one_file_has_everything_of_the_parts() -> None:
    program = ast.parse(hook_text())
    assert [name for part in PARTS for name in names(tree(part))] == list(names(program))
    bodies = {node.name: ast.dump(node) for node in program.body if isinstance(node, ast.FunctionDef)}
    for part in PARTS:
        for node in tree(part).body:
            if isinstance(node, ast.FunctionDef):
                assert ast.dump(node) == bodies[node.name]
