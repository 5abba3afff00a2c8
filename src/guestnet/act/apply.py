"""Applying a plan: act step by step, each one journalled and undoable, then look again and compare."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from guestnet.act import edit, journal, rollback
from guestnet.act.journal import Head
from guestnet.act.tidy import tidy
from guestnet.act.undo import Undo
from guestnet.compile import netxml
from guestnet.decide import adopted
from guestnet.decide.desired import MEMORY
from guestnet.decide.plan import Plan
from guestnet.decide.state import APPLIED, SOURCE, Change, File, Key, Thing
from guestnet.host import files, meanwhile
from guestnet.host.libvirt import Libvirt
from guestnet.host.lock import Alone, apply_lock
from guestnet.host.put import put
from guestnet.spec.memory import Memory, from_text
from guestnet.words.problems import AsideError, ConflictError, GuestnetError, Problem, ProblemsError

Report = Callable[[str, Change | None, float], None]  # (done, FAIL, undoing or undone; the step; seconds)

_FILES = ("hookdata", "reservation")
_ROUNDS = 3  # a guest that starts or stops while we act changes the forwards in force; more rounds mean a real fault


@contextlib.contextmanager
def changing(*, wait: float = 0.0) -> Iterator[Alone]:
    """Holds the host for one guestnet at a time, waiting so many seconds for it; take it before the survey, so that the
    plan stays true."""
    with apply_lock(wait=wait) as lock:
        try:
            yield lock
        finally:
            if lock.held:
                with undisturbed():
                    tidy()


def recover(libvirt: Libvirt) -> Head | None:
    """Takes back what an apply that was killed had begun, the file that it had edited too, and says which it was; None
    when there was none. What is in force for guests is that of those that run by now. Needs `changing`. Raises
    journal.DamagedError when nobody can know what it had begun."""
    begun = journal.left()
    if begun is None:
        return None
    with undisturbed():
        # The mark does not tell whose a network is that was to come into our hands, or to leave them. One with another
        # definition than it had on that way was changed by somebody since, and is left to them.
        there = libvirt.xmls()
        libvirt.adopting = frozenset(
            name
            for name, known in adopted.handed(begun.changes).items()
            if name in there and netxml.canonical(there[name][0]) in known
        )
        problems = Undo(lambda change: put(libvirt, change), begun.changes).run()
        libvirt.adopting = frozenset()
        # The journal tells of the guests that ran then. Should this be cut off too, it is still there.
        problems = problems or Undo(lambda change: put(libvirt, change), rollback.outdated(libvirt)).run()
        edit.tidy(begun.head)
        problems += _file_back(begun.head)[0]
    if problems:
        aside = f"an apply that was cut off is only partly undone; to go on without that, move {journal.PATH} away"
        raise ProblemsError(problems, aside)
    journal.forget()
    return begun.head


def apply(  # noqa: PLR0913  the last by keyword
    plan: Plan,
    again: Callable[[], tuple[Change, ...]],
    libvirt: Libvirt,
    report: Report,
    head: Head,
    *,
    always: bool = False,
) -> tuple[AsideError, ...]:
    """Does the plan, and the edit of the file that `head` has; on a failure undoes all of it and raises. Needs
    `changing`, and a plan made under it.

    `again` looks at the host anew: what is still to be changed. `head` names the apply in its journal. From then on
    there is a way back from it, unless it only mended what had come to differ from the file that is applied already:
    then that of the apply before stays, if not `always`. Returns why steps were left out that nothing else waits for.
    """
    if plan.problems:
        raise ProblemsError(list(plan.problems))
    if not plan.changes and head.edit is None:
        return ()
    aside: dict[Key, AsideError] = {}
    remembered = files.read(MEMORY)
    written = journal.Journal(replace(head, memory=remembered.text) if remembered else head)
    undo = Undo(lambda change: put(libvirt, change))
    try:
        edit.write(head)
        changes = plan.changes
        for _ in range(_ROUNDS):
            for together in _together(changes):
                written.begin(*together)
                for change in together:
                    left = _step(change, libvirt, undo, report)
                    aside |= {change.key: left} if left else {}
            changes = tuple(one for one in again() if one.key not in aside)
            if not changes:
                break
        else:
            raise _differs(changes)
        with undisturbed():
            _end(written, plan, always=always, last=head.verb == journal.DESTROY)
    except BaseException as error:
        libvirt.adopting = frozenset(adopted.handed(undo.steps))  # also those that were given back
        _take_back(undo, written, head, report, error)
        raise
    return tuple(aside.values())


def _end(written: journal.Journal, plan: Plan, *, always: bool, last: bool) -> None:
    said = {change.key.name: change for change in plan.changes}
    memory = said.get(MEMORY)
    if last or (memory is not None and memory.after is None):
        journal.forget(journal.POINT)  # nothing of ours is left on the host, that neither
        written.close()
    elif always or _another_file(plan, said) or (memory is not None and _wished(memory)):
        written.keep()
    else:
        written.close()


def _another_file(plan: Plan, said: Mapping[str, Change]) -> bool:
    """Whether it is not the file that was applied last. Where both records of that are gone nobody knows, and what
    changes more than records is gone back from."""
    if not plan.mends:
        return APPLIED in said
    gone = plan.flips is None and SOURCE in said and said[SOURCE].before is None
    return gone and any(change.key.kind != "memory" for change in plan.changes)


def _wished(memory: Change) -> bool:
    """One that was damaged or gone, or is only spelled otherwise, has been mended, which is nobody's wish."""
    try:
        return isinstance(memory.before, File) and from_text(memory.before.text) != _parsed(memory.after)
    except GuestnetError:
        return False


def _parsed(memory: Thing | None) -> Memory | None:
    return from_text(memory.text) if isinstance(memory, File) else None


def _together(changes: Sequence[Change]) -> Iterator[tuple[Change, ...]]:
    """Steps that the journal has in one: files of guests, one after the other, of which there may be a thousand. To
    make one what it was before its turn changes nothing."""
    for _, some in groupby(enumerate(changes), lambda pair: -1 if pair[1].key.kind in _FILES else pair[0]):
        yield tuple(change for _, change in some)


def _step(change: Change, libvirt: Libvirt, undo: Undo, report: Report) -> AsideError | None:
    start = time.monotonic()
    try:
        meanwhile.check(libvirt, change)  # before there is an inverse: what is theirs is not undone either
        undo.push(change)
        put(libvirt, change)
    except AsideError as error:
        report("left", change, time.monotonic() - start)
        return error
    except GuestnetError:
        report("FAIL", change, time.monotonic() - start)
        raise
    report("done", change, time.monotonic() - start)
    return None


def _take_back(undo: Undo, written: journal.Journal, head: Head, report: Report, error: BaseException) -> None:
    report("undoing", None, 0)
    with undisturbed():
        problems = undo.run()
        unwritten, theirs = _file_back(head)
        problems += unwritten
        if not problems:
            written.close()
    if not problems:
        report("undone", None, 0)
        if theirs and not isinstance(error, ConflictError):
            raise ConflictError(f"{error}\n{theirs}", "look at it, then: guestnet plan") from error
        return
    # The journal stays: the next apply tries again to take it back.
    what, todo = getattr(error, "what", str(error)), getattr(error, "todo", "")
    first = Problem(what, todo or "see below") if what else None
    raise ProblemsError([*([first] if first else []), *problems], "not everything could be undone") from error


def _file_back(head: Head) -> tuple[list[Problem], str]:
    """The file that was edited, as it was before: why it is not; and that somebody else has written it meanwhile."""
    theirs = f"{head.file} was changed meanwhile by somebody else, and is left as they wrote it"
    try:
        return [], "" if edit.put_back(head) else theirs
    except ConflictError:
        return [], theirs
    except GuestnetError as error:
        return [Problem(error.what, error.todo)], ""


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C and the like have no effect while what was done is taken back: half of that helps nobody."""
    numbers = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        for number in signal.sigpending() & numbers:
            signal.sigwait({number})  # it asked for the end, and that is coming
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _differs(changes: tuple[Change, ...]) -> GuestnetError:
    names = ", ".join(f"{change.key.kind} {change.key.name}" for change in changes)
    return GuestnetError(f"the host is not as it should be after the apply: {names}", "see guestnet plan")
