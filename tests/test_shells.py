"""No shell on the host: what SECURITY.md says of it."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

import pytest

SHELLS = {"sh", "bash", "dash", "/bin/sh", "/bin/bash", "/usr/bin/sh"}
ALLOWED = {"host/guestgai.py"}  # fixed scripts, run by the agent in a guest


def started(tree: ast.AST) -> bool:
    """Whether a call, or a tuple or list, has a shell and behind it a script for it."""
    for node in ast.walk(tree):
        words = node.args if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.Tuple | ast.List) else []
        values = [word.value if isinstance(word, ast.Constant) else None for word in words]
        for word, option in pairwise(values):
            if word in SHELLS and isinstance(option, str) and option.startswith("-") and "c" in option:
                return True
        if isinstance(node, ast.keyword) and node.arg == "shell" and ast.unparse(node.value) == "True":
            return True
    return False


@pytest.mark.parametrize("text", ['run("unshare", "sh", "-c", it)', '("bash", "-ec", it)', "Popen(it, shell=True)"])
def test_it_is_seen(text: str) -> None:
    assert started(ast.parse(text))


def test_none_is_started(repo: Path) -> None:
    source = repo / "src" / "guestnet"
    found = {str(path.relative_to(source)) for path in source.rglob("*.py") if started(ast.parse(path.read_text()))}
    assert found == ALLOWED
