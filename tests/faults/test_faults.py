"""The short form of `make faults`: some effects of a change, drawn anew each time, killed and failed."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest

from lab import Lab
from tests.faults.cycles import Cycles

pytestmark = pytest.mark.lab

SECONDS = 40


@pytest.fixture(scope="module")
def cycles() -> Iterator[Cycles]:
    with Lab() as lab:
        cycles = Cycles(lab)
        cycles.begin()
        yield cycles


def test_the_old_state_or_the_new_one(cycles: Cycles) -> None:
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(1 << 32)))  # noqa: S311  not a secret
    print(f"FAULTS_SEED={seed}")
    drawn = random.Random(seed)  # noqa: S311  not a secret
    kinds = {effect.partition(" ")[0] for effect in cycles.effects}
    assert kinds >= {"program", "file", "libvirt", "netlink"}, "the change has effects of every kind"
    faults = list(cycles.faults())
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        at = drawn.randint(1, len(cycles.effects))
        cycles.killed(at, then=drawn.choice(("rollback", "apply")))
        number, do, lasting = drawn.choice(faults)
        cycles.failed(number, do, lasting=lasting)
    print(f"of {len(cycles.effects)} effects: {cycles.tried}")
