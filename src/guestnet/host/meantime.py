"""The door to the rules of `compile.meantime`: they are there for the time of a `with`, and no longer than we live."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from guestnet.compile.meantime import TABLE
from guestnet.host.run import Talk, succeeds
from guestnet.words.problems import GuestnetError

_PATIENCE = 2.0  # seconds for nft to take them


@contextlib.contextmanager
def standing(table: str) -> Iterator[bool]:
    """Whether the rules stand; "" needs none. nft is left running: the table is its own, and goes with it, also when
    we are killed, because its input ends then."""
    if not table:
        yield True
        return
    try:
        holder = Talk("nft", "-i")
    except GuestnetError:
        yield False
        return
    try:
        with contextlib.suppress(GuestnetError):  # it has ended: it refused
            holder.give(table)
        yield _there()
    finally:
        holder.close()


def _there() -> bool:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if succeeds("nft", "list", "table", *TABLE.split()):
            return True
        time.sleep(0.005)
    return False
