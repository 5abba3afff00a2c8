"""The world of a file, for tests of what is made of it."""

from __future__ import annotations

import random

from guestnet.spec.load import load_spec
from guestnet.spec.memory import Memory
from guestnet.spec.models import Spec
from guestnet.spec.resolve import Taken, resolve
from guestnet.spec.world import World


def drawn(spec: Spec | str | bytes, seed: int = 1) -> World:
    """What `auto` stands for is drawn on a host that has nothing else, the same each time."""
    read = load_spec(spec, "x.yaml") if isinstance(spec, str | bytes) else spec
    return resolve(read, Memory(), random=random.Random(seed), taken=Taken(), macs={})[0]  # noqa: S311  not a secret
