"""The hook's program as hosts have it, one file, as a module `hook`."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from guestnet.act.survey import hook_text


def _made() -> ModuleType:
    module = ModuleType("hook")
    exec(compile(hook_text(), "hook.py", "exec"), vars(module))  # noqa: S102  our own text, as the hook's front has it
    return module


hook: Any = _made()
