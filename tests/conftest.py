"""For all tests: the machine's own network is the same before and after, and goldens are written anew on demand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab import machine

_before = pytest.StashKey[machine.Snapshot]()


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[_before] = machine.snapshot()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    changed = machine.differences(session.config.stash[_before], machine.snapshot())
    for line in changed:
        print(f"\nthe machine's own network was changed: {line}")
    if changed:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def repo() -> Path:
    return Path(__file__).parent.parent


@pytest.fixture(scope="session")
def golden_update() -> bool:
    return bool(os.environ.get("GOLDEN_UPDATE"))
