"""What the tests of the spec share: resolving text in one call."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from guestnet.spec.load import load_spec
from guestnet.spec.memory import Memory
from guestnet.spec.resolve import Macs, Taken, resolve
from guestnet.spec.world import World

Resolve = Callable[..., tuple[World, Memory]]


@pytest.fixture
def resolved() -> Resolve:
    """YAML text to (world, memory), with a fixed seed of randomness."""

    def call(
        text: str, memory: Memory | None = None, taken: Taken | None = None, macs: Macs | None = None, seed: int = 1
    ) -> tuple[World, Memory]:
        spec = load_spec(text, "test.yaml")
        random = Random(seed)  # noqa: S311  the same on every run
        return resolve(spec, memory or Memory(), random=random, taken=taken or Taken(), macs=macs or {})

    return call
