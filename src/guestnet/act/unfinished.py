"""What an apply has left open: one that was cut off, that goes on now, or that waits for its confirmation. Changes
nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from guestnet.act import confirm, journal
from guestnet.host import lock

_LATER = "wait until it is done, then look again"
_ANEW = "guestnet apply makes the host what the file says, whatever state it is in"
_BACK = "guestnet rollback takes back what it had begun, and so does the next apply, first"


@dataclass(frozen=True)
class Unfinished:
    """seconds: until it undoes itself; None: it does not."""

    state: Literal["goes on", "cut off", "waits"]
    what: str
    todo: str
    seconds: int | None = None

    def __str__(self) -> str:
        return f"{self.what}: {self.todo}"


def unfinished() -> tuple[Unfinished, ...]:
    """Of an apply with --confirm that was cut off there is nothing to confirm: that it undoes itself is said there."""
    pending = confirm.waiting()
    left = None if pending is None else pending.whole  # once, or the lines have other numbers
    try:
        begun, damaged = journal.left(), False
    except journal.DamagedError:
        begun, damaged = None, True
    changing = lock.changing() if begun or damaged else ""
    if changing:
        return (Unfinished("goes on", f"another guestnet ({changing}) is changing this host", _LATER, left),)
    if damaged:
        return (Unfinished("cut off", "an earlier apply was cut off, and its journal is damaged", _ANEW, left),)
    if begun:
        which = f" ({begun.head.verb} of {begun.head.when})" if begun.head.id else ", before its first step"
        todo = _BACK
        if left is not None:
            todo += f"; or it undoes itself in {left} s" if left else f"; {confirm.OVER}"
        return (Unfinished("cut off", f"an earlier apply was cut off{which}", todo, left),)
    if pending and left is not None:
        return (Unfinished("waits", pending.told(left), pending.advice(left), left),)
    return ()
