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
        # Without a home it writes what it reads into /.nft.history (nft 1.0.6, libedit).
        holder = Talk("nft", "-i", home="/dev/null")
    except GuestnetError:
        yield False
        return
    try:
        with contextlib.suppress(GuestnetError):  # it has ended: it refused
            holder.give(table)
        yield _there(holder)
    finally:
        holder.close()


def _there(holder: Talk) -> bool:
    """Not when it has ended: it refused, or knows no such tables (a kernel before 5.12)."""
    until = time.monotonic() + _PATIENCE
    while holder.lives and time.monotonic() < until:
        if succeeds("nft", "list", "table", *TABLE.split()):
            return True
        time.sleep(0.005)
    return False
