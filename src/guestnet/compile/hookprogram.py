"""The hook's program as it is installed: one file, made of its parts (faces/hook/).

One, because it comes and goes whole: a hook that runs while guestnet is upgraded never has half of each version, root's
trust is asked for one file, and one that was changed or is missing shows in a plan.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

# Each uses only those before it; the last is where a run begins, and its docstring is the file's.
PARTS = (
    "programs",
    "prepared",
    "domainxml",
    "outside",
    "admits",
    "table",
    "turns",
    "bridges",
    "reservations",
    "forwards",
    "main",
)


def joined(parts: Mapping[str, str]) -> str:
    """parts: the text of each of PARTS. A name stands for one thing in all of them (tests/compile/test_hookprogram)."""
    imports: dict[str, None] = {}
    bodies = []
    for name in PARTS:
        lines = parts[name].splitlines()
        head, *_ = top = ast.parse(parts[name]).body
        about = "\n".join(lines[: head.end_lineno]) + "\n"
        first = about.removeprefix('"""').partition("\n")[0].removesuffix('"""')
        for node in top:
            if isinstance(node, ast.Import):
                imports |= dict.fromkeys(lines[node.lineno - 1 : node.end_lineno])
        last = [node for node in top if node is head or isinstance(node, ast.Import | ast.ImportFrom)][-1].end_lineno
        title = "where a run begins" if name == PARTS[-1] else first
        bodies.append(f"# {name}: {title}\n\n" + "\n".join(lines[last:]).strip("\n") + "\n")
    return "\n\n".join([about + "\n" + "\n".join(sorted(imports)) + "\n", *bodies])
