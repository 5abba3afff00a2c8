"""The architecture as a test: imports go downwards only, and the hook stands alone."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "guestnet"
LAYERS = ["words", "spec", "compile", "decide", "host", "act", "faces"]
# Where effects happen, each in one module: the module that may import it.
DOORS = {
    "subprocess": {"host/run.py"},
    "libvirt": {"host/libvirt.py"},
    "libvirt_qemu": {"host/libvirt.py"},
    "pyroute2": {"host/netlink.py", "host/netlink6.py", "host/whohas.py", "host/carry.py"},
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def upward(path: str, imported: Iterator[str] | list[str]) -> list[str]:
    """The imports that a module in a layer may not have."""
    own = LAYERS.index(path.split("/", maxsplit=1)[0])
    found = []
    for name in imported:
        parts = name.split(".")
        if parts[0] == "guestnet" and len(parts) > 1 and parts[1] in LAYERS and LAYERS.index(parts[1]) > own:
            found.append(name)
    return found


MODULES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.glob("*/**/*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downwards(module: str) -> None:
    assert upward(module, imports(PACKAGE / module)) == []


@pytest.mark.parametrize("module", MODULES)
def test_each_door_is_one_module(module: str) -> None:
    for name in imports(PACKAGE / module):
        allowed = DOORS.get(name.split(".")[0])
        assert allowed is None or module in allowed, f"{module} opens the door {name}"


def test_the_rule_can_fail() -> None:
    assert upward("words/ports.py", ["guestnet.spec.load"]) == ["guestnet.spec.load"]


def test_no_import_cycle() -> None:
    graph = {module: set(_modules(PACKAGE / module)) for module in MODULES}
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, f"import cycle: {' -> '.join([*above, module])}"
        if module not in done:
            for other in graph.get(module, ()):
                visit(other, (*above, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


def test_what_the_hook_starts_stands_alone() -> None:
    assert all(name in sys.stdlib_module_names for name in imports(PACKAGE / "faces" / "let_in.py"))


def _modules(path: Path) -> Iterator[str]:
    """Files of ours that a module imports at its top; late imports inside functions can't make a cycle."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("guestnet."):
            for name in (node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)):
                file = Path(*name.split(".")[1:])
                for candidate in (f"{file}.py", f"{file}/__init__.py"):
                    if (PACKAGE / candidate).exists():
                        yield candidate
