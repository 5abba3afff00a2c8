"""An apply that undoes itself unless somebody confirms it: what waits stands on disk, and a process counts down.

The file is there from before the first step until it is confirmed or undone, and names the apply by the id in its
journal. So whatever is killed, and when, the rest is told by what is on disk: an apply that was cut off, one to go back
from, or none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Literal

from guestnet.act import journal, rollback
from guestnet.act.apply import Report, apply, changing, recover, undisturbed
from guestnet.act.journal import ROLLBACK, Begun, Edit, Head
from guestnet.act.rollback import Way
from guestnet.decide.state import Change, File, Key
from guestnet.host import clock, countdown, files, lock
from guestnet.host.libvirt import Libvirt
from guestnet.words.problems import AsideError, GuestnetError

PATH = "/var/lib/guestnet/confirm.json"
DEFAULT, MOST = 60, 86400  # seconds
OVER = "its time is over, and it is being undone"
_LAST = lock.FOLDER / lock.LAST
_KIND, _VERSION = "guestnet confirm", 1


@dataclass(frozen=True)
class Pending:
    """until: on the clock of `boot`, see host.clock. at: when it was applied, in seconds since 1970."""

    id: str
    seconds: int
    boot: str
    until: float
    uri: str | None
    at: float

    @property
    def left(self) -> float:
        """Seconds; none after another boot: who should have confirmed has lost the host."""
        return max(0.0, self.until - clock.since_boot()) if self.boot == clock.boot() else 0.0

    @property
    def whole(self) -> int:
        """As `left`, in whole seconds: 0 only when there are none."""
        return ceil(self.left)

    def __str__(self) -> str:
        return self.told(self.whole)

    def told(self, left: int) -> str:
        """What there is to say with so many seconds left."""
        if not left:
            return f"the apply of {_clock(self.at)} was not confirmed: {OVER}"
        return f"the apply of {_clock(self.at)} waits for its confirmation, another {left} s"

    @property
    def todo(self) -> str:
        return self.advice(self.whole)

    def advice(self, left: int) -> str:
        """What to do with so many seconds left."""
        if not left:
            return f"what becomes of that is in {countdown.where()}; if it does not end: guestnet rollback"
        return "guestnet confirm keeps it, guestnet rollback undoes it"


@dataclass(frozen=True)
class Undone:
    """The apply that was gone back from, and what of it was left, because somebody else has changed it since, or
    `aside`, because a guest's agent does not answer."""

    head: Head
    spared: tuple[Key, ...] = ()
    aside: tuple[AsideError, ...] = ()

    def __str__(self) -> str:
        return f"undone{_but(self.spared)}{''.join(f', but: {error}' for error in self.aside)}"


def waiting() -> Pending | None:
    """What waits for its confirmation now. When the file is damaged, the time begins anew: for how long is lost."""
    found = files.read(PATH)
    if found is None:
        return None
    try:
        data = json.loads(found.text)
        if data.pop(_KIND) != _VERSION:
            raise ValueError
        return Pending(**data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        made = _pending(_stands(), DEFAULT, None)
        _write(made)
        return made


@contextmanager
def guarded(head: Head, seconds: int | None, uri: str | None) -> Iterator[None]:
    """What is applied meanwhile, as `head` names it, undoes itself `seconds` later; None: it does not."""
    if seconds is None:
        yield
        return
    # The time begins before the first step, and anew when all is done: a step may take the connection away.
    _write(_pending(head.id, seconds, uri))
    try:
        countdown.start()
        yield
    except BaseException:
        with undisturbed():
            if journal.left() is None and _stands() != head.id:
                forget()
        raise
    with suppress(GuestnetError):  # then the time is that from before the first step
        _write(_pending(head.id, seconds, uri))


def confirm() -> str:
    """What waited stays; says so. Raises GuestnetError when nothing waits, or too late. Takes `changing` itself, and
    waits for it as long as there is time: whoever has the host may only be looking at it."""
    pending = waiting()
    if pending is not None and not pending.left:
        raise _late()
    with changing(wait=pending.left if pending is not None else 0.0):
        return _confirm()


def _confirm() -> str:
    pending = waiting()
    if pending is None:
        last, when = _last()
        if last == "confirmed":
            return f"it was confirmed already, at {when}"
        if last == "undone":
            raise GuestnetError(f"too late: it was undone at {when}", "to try again: guestnet apply")
        raise GuestnetError("nothing waits for confirmation", "guestnet plan shows what differs from the file")
    if not pending.left:
        raise _late()
    if journal.left() is not None or not stands(pending):
        what = "the apply that waits was cut off before it was done, so there is nothing whole to keep"
        raise GuestnetError(what, "go back with guestnet rollback, or forward with guestnet apply")
    forget("confirmed")
    return "confirmed: what was applied stays"


def _late() -> GuestnetError:
    countdown.start()  # it may have been killed
    return GuestnetError("too late: the time is over, and it is being undone", "to try again: guestnet apply")


def stands(pending: Pending) -> bool:
    """Whether what waits was done, and is there to go back from."""
    return _stands() == pending.id


def refuse() -> None:
    """Raises GuestnetError while an apply that was done waits for its confirmation, or its undoing: what is done
    meanwhile that has no part in it would be undone, or stay, at random. Needs `changing`."""
    pending = waiting()
    if pending is not None and stands(pending):
        countdown.start()  # it may have been killed
        raise GuestnetError(str(pending), f"{pending.todo}; then try again")


def leads_back(head: Head) -> bool:
    """Whether `guestnet rollback` goes back from that one."""
    return head.verb != ROLLBACK and _stands() == head.id


def goes_back() -> bool:
    """Whether `guestnet rollback` goes back from the apply that was done last."""
    begun = _point()
    return begun is not None and leads_back(begun.head)


def forget(how: Literal["confirmed", "undone", ""] = "", spared: tuple[Key, ...] = ()) -> None:
    """Nothing waits any more; `how` that came, and what was `spared` in the undoing, for who asks."""
    if Path(PATH).exists():
        files.remove(PATH)
        if how:
            files.write(str(_LAST), File(f"{how} {_clock(time.time())}{_but(spared)}\n"))
    countdown.stop()


def undo(libvirt: Libvirt, report: Report) -> Undone | None:
    """Goes back from the apply that waits, whatever is left of it, and says which that was; None when it was gone
    already. What somebody else has changed meanwhile is left as it is. Needs `changing`."""
    pending = waiting()
    if pending is None:
        return None
    cut_off = recover(libvirt)
    if cut_off is not None and cut_off.verb != ROLLBACK:
        forget("undone")
        return Undone(cut_off)
    begun = journal.point()
    if begun is None or begun.head.id != pending.id:
        forget("undone")  # it was killed before it had begun, or after it was undone
        return None
    way = rollback.way(begun, libvirt, spare=True)
    aside = back(begun, way, libvirt, report)
    return Undone(begun.head, way.conflicts, aside)


def back(begun: Begun, way: Way, libvirt: Libvirt, report: Report) -> tuple[AsideError, ...]:
    """Goes back from `begun` by its `way`; a file that it had edited itself is put back, too. Needs `changing`. Returns
    why steps were left out that nothing else waits for."""

    def again() -> tuple[Change, ...]:
        return rollback.way(begun, libvirt, spare=True).plan.changes

    edit = rollback.edit(begun)
    head = Head(ROLLBACK, begun.head.file, Edit(edit.after, edit.before) if edit else None)
    aside = apply(way.plan, again, libvirt, report, head, always=True)
    forget("undone", way.conflicts)
    return aside


def _but(spared: tuple[Key, ...]) -> str:
    return f", but for what {rollback.named(spared)}" if spared else ""


def _pending(name: str, seconds: int, uri: str | None) -> Pending:
    return Pending(name, seconds, clock.boot(), clock.since_boot() + seconds, uri, time.time())


def _stands() -> str:
    """The id of the apply that was done last; "" when that is not known."""
    begun = _point()
    return begun.head.id if begun is not None else ""


def _point() -> Begun | None:
    try:
        return journal.point()
    except GuestnetError:
        return None


def _last() -> tuple[str, str]:
    """How the last that waited ended, and when, with what was left of it."""
    found = files.read(str(_LAST))
    how, _, when = (found.text.strip() if found else "").partition(" ")
    return how, when


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _write(pending: Pending) -> None:
    files.write(PATH, File(json.dumps({_KIND: _VERSION, **asdict(pending)}) + "\n", 0o600))
