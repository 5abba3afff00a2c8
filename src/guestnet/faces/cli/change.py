"""What the verbs share that change the host: survey, show, ask, act."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from guestnet.act import apply as act
from guestnet.act import confirm, journal
from guestnet.act.confirm import guarded
from guestnet.act.edit import put_back
from guestnet.act.journal import Edit, Head
from guestnet.act.survey import Wish, survey
from guestnet.decide.adopted import Hands
from guestnet.decide.atstake import at_stake
from guestnet.decide.plan import Plan
from guestnet.decide.prefer.wanted import left
from guestnet.decide.state import Change
from guestnet.faces.aside import say
from guestnet.faces.cli.document import Document
from guestnet.faces.cli.online import agreed, host
from guestnet.faces.cli.options import Format, Options
from guestnet.faces.report import AS_WRITTEN, plan_data, print_plan, progress
from guestnet.host.libvirt import Libvirt
from guestnet.host.lock import Alone
from guestnet.spec.edit import Edited
from guestnet.spec.load import read
from guestnet.spec.memory import Memory
from guestnet.words.problems import AsideError, ConflictError, GuestnetError, ProblemsError

_DONE = f"done: {AS_WRITTEN}"


@dataclass(frozen=True)
class Care:
    """How careful to be. confirm: seconds; None: as the plan asks for, or, with `never`, not at all. checksum: of the
    plan that was reviewed."""

    confirm: int | None = None
    never: bool = False
    checksum: str | None = None


@dataclass(frozen=True)
class Held:
    """The host, to oneself, for a verb. `spared`: what to say of a refusal; `recovered`: an apply that was cut off, and
    has been taken back; `document`: of the run."""

    verb: str
    libvirt: Libvirt
    spared: str
    recovered: Head | None
    lock: Alone
    document: Document


def change(  # noqa: PLR0913  the last three by keyword
    options: Options, wish: Callable[[], Wish], yes: bool, *, verb: str, question: str, care: Care = Care()
) -> int:
    """`wish` reads what is wanted: the file's spec for apply, and nothing for destroy."""
    wanted = wish()  # what is wrong with the file is said first
    with changing(options, verb) as held:
        if wanted.spec is not None and _rewritten(Path(options.file), wanted.source):
            wanted = wish()
        plan, memory = survey(wanted, held.libvirt)
        show(plan, options, AS_WRITTEN if wanted.spec else "nothing of guestnet is on this host", yes=yes)
        same(plan, care.checksum, held.spared)
        if plan.problems:
            raise ProblemsError(list(plan.problems))
        if not plan.changes:
            return 0
        seconds = _seconds(plan, care, yes, held.spared) if verb == "apply" else None
        if verb != "apply":
            attended(plan, yes, care.never, held.spared)
        ask(question, yes, held, plan, lambda: survey(wanted, held.libvirt, memory)[0])
        head = Head(verb, str(Path(options.file).absolute()) if wanted.spec else "")
        again = _again(wanted, held.libvirt, memory)
        with guarded(head, seconds, options.uri):
            aside = act.apply(plan, again, held.libvirt, options.document.report, head, always=bool(seconds))
    code = _ended(options, head, aside, _DONE if wanted.spec else _gone(plan))
    if seconds:
        options.document.confirm_within = seconds
        options.document.say(f"it undoes itself after {seconds} s, unless, from a new session: guestnet confirm")
    return code


def _rewritten(file: Path, source: str | None) -> bool:
    """Whether it has another text than when it was read, before the host was ours alone: by another guestnet, whose
    edit is in force by now, or because an apply that was cut off has been taken back. A pipe gives its text once."""
    once = file.is_fifo() or file.is_char_device()
    return not once and read(file).decode(errors="replace") != source


def _ended(options: Options, head: Head, aside: tuple[AsideError, ...], done: str = "") -> int:
    """Says what was left out, or `done`; the exit code."""
    options.document.left += aside
    options.document.rollback = confirm.leads_back(head)
    for error in aside:
        say(str(error))
    if done:
        options.document.say("the rest is done; guestnet plan shows what is left" if aside else done)
    return int(bool(aside))


def _gone(plan: Plan) -> str:
    guests = left(plan.changes, plan.facts)
    if not guests:
        return "done: nothing of guestnet is left"
    todo = ", ".join(f"guestnet prefer-ipv6 {guest} --undo" for guest in guests)
    return f"done: nothing of guestnet is left but its lines in /etc/gai.conf of {', '.join(guests)}; later: {todo}"


def edit(
    options: Options, make: Callable[[bytes], Edited], yes: bool, never: bool, *, verb: str
) -> tuple[Edited, Plan]:
    """The file edited and applied, or both as they were. It asks only when the plan holds more than that edit, what
    differs from the file already, or when the SSH session is at stake and not `never`. Read under the lock, so that two
    of these do not undo each other."""
    with changing(options, verb) as held:
        source = read(Path(options.file))
        found = make(source)
        wanted = Wish(found.after, found.text)
        plan, memory = survey(wanted, held.libvirt)
        if plan.problems:
            raise ProblemsError(list(plan.problems))
        pending, _ = survey(Wish(found.before, source.decode()), held.libvirt)
        risky = bool(at_stake(plan))
        if pending.changes or risky or options.format is Format.json:
            show(plan, options, yes=yes or not (pending.changes or (risky and not never)))
        attended(plan, yes, never, held.spared)
        question = "More than this differs from the file. Apply all of it?" if pending.changes else "Apply this?"
        if pending.changes or (risky and not never):
            ask(question, yes, held, plan, lambda: survey(wanted, held.libvirt, memory)[0])
        _with_file(options, held, Edit(source.decode(), found.text), plan, _again(wanted, held.libvirt, memory))
        for note in plan.notices:
            if note not in pending.notices:
                say(f"note: {note}")
    return found, plan


def hand_over(  # noqa: PLR0913  the last two by keyword
    options: Options,
    make: Callable[[bytes, Libvirt], Edited],
    hands: Hands,
    yes: bool,
    never: bool,
    *,
    verb: str,
    question: str,
) -> int:
    """Networks that come into guestnet's hands, or leave them: in the file and on the host, or both as they were."""
    with changing(options, verb) as held:
        source = read(Path(options.file))
        found = make(source, held.libvirt)
        wanted = Wish(found.after, found.text, hands=hands)
        plan, memory = survey(wanted, held.libvirt)
        show(plan, options, yes=yes)
        if plan.problems:
            raise ProblemsError(list(plan.problems))
        attended(plan, yes, never, held.spared)
        ask(question, yes, held, plan, lambda: survey(wanted, held.libvirt, memory)[0])
        again = _again(wanted, held.libvirt, memory)
        return _with_file(options, held, Edit(source.decode(), found.text), plan, again, _DONE)


def _with_file(  # noqa: PLR0913, PLR0917  all of one act
    options: Options, held: Held, text: Edit, plan: Plan, again: Callable[[], tuple[Change, ...]], done: str = ""
) -> int:
    """The file with the text behind the edit and the plan done, or both as they were; as `_ended`."""
    file = str(Path(options.file).resolve())  # a link stays one: what it leads to is written
    head = Head(held.verb, file, text)
    aside = act.apply(plan, again, held.libvirt, options.document.report, head)
    return _ended(options, head, aside, done)


@contextmanager
def changing(options: Options, verb: str) -> Iterator[Held]:
    """The host to oneself, after what a killed apply had begun was taken back, and what nobody confirmed in time."""
    options.document.verb = verb
    with host(options, verb) as libvirt, act.changing() as lock:
        recovered, touched = _taken_up(libvirt, options.document)
        spared = "nothing more was touched" if touched else "nothing was touched"
        yield Held(verb, libvirt, spared, recovered, lock, options.document)


def _taken_up(libvirt: Libvirt, document: Document) -> tuple[Head | None, bool]:
    """What others have left undone, done: an apply that was cut off and has been taken back; whether anything was."""
    recovered = _recover(libvirt, document)
    if recovered is not None:
        file = f", in {recovered.file} too" if recovered.edit is not None and put_back(recovered) else ""
        document.say(f"an earlier apply was cut off; what it had begun has been taken back{file}")
    return recovered, _confirmed(libvirt, document) or recovered is not None


def ask(question: str, yes: bool, held: Held, plan: Plan, again: Callable[[], Plan]) -> None:
    """Raises GuestnetError unless the answer is yes, and the plan, which `again` makes anew, still the same: whoever is
    asked may think it over for an hour, or sit in an SSH session that is dead. So meanwhile the host is not held."""
    if yes:
        return
    held.lock.give()
    try:
        if not agreed(question, yes):
            raise GuestnetError(held.spared)
    except BaseException:
        with suppress(GuestnetError):  # who has it now tidies up
            held.lock.take()
        raise
    held.lock.take()
    _, touched = _taken_up(held.libvirt, held.document)
    same(again(), plan.digest, "nothing more was touched" if touched else held.spared)


def show(plan: Plan, options: Options, nothing: str = AS_WRITTEN, *, yes: bool) -> None:
    """A program gets it with the result; whoever is asked beside that reads it on stderr. `yes`: nobody is.
    `nothing`: why there is nothing to do."""
    if options.format is Format.json:
        options.document.data = plan_data(plan)
    if options.format is not Format.json or (not yes and sys.stdin.isatty()):
        out = sys.stderr if options.format is Format.json else sys.stdout
        print_plan(plan, pending=False, nothing=f"Nothing to do: {nothing}.", out=out)


def attended(plan: Plan, yes: bool, never: bool, spared: str) -> None:
    """Of verbs that do not undo themselves. Raises GuestnetError when the SSH session is at stake, and nobody is at a
    terminal to have read so."""
    if yes and not never and at_stake(plan) and not sys.stdin.isatty():
        what = f"the SSH session that this is done from is at stake; {spared}"
        raise GuestnetError(what, "do it from a terminal or another way in, or say --no-confirm")


def same(plan: Plan, checksum: str | None, spared: str) -> None:
    """Raises ConflictError when the plan is another than the one that was looked at."""
    if checksum is not None and checksum != plan.digest:
        what = f"this is plan {plan.digest}, not {checksum}: file or host have changed since that was made; {spared}"
        raise ConflictError(what, "look at it, then apply this one")


def _recover(libvirt: Libvirt, document: Document) -> Head | None:
    try:
        return act.recover(libvirt)
    except journal.DamagedError as error:
        what = f"an apply was cut off, and {error.what}: what it had begun can't be taken back"
        if document.verb == journal.ROLLBACK:
            todo = "guestnet apply makes the host what the file says, whatever state it is in"
            raise GuestnetError(what, todo) from error
        document.say(f"{what}; it is kept as {journal.move_away()}, and all is compared with the file")
        return None


def _confirmed(libvirt: Libvirt, document: Document) -> bool:
    """Whether what waited for a confirmation has been undone, because its time is over. Raises GuestnetError while it
    is not; going back is allowed."""
    pending = confirm.waiting()
    if pending is None:
        return False
    if not confirm.stands(pending):
        confirm.forget("undone")  # it was cut off before it was done, and is taken back now
        return False
    if document.verb == journal.ROLLBACK:
        return False
    if pending.left:
        confirm.refuse()
    done = confirm.undo(libvirt, progress)
    document.say(f"an earlier apply was not confirmed in time; it has been {done or 'undone'}")
    return True


def _again(wanted: Wish, libvirt: Libvirt, memory: Memory) -> Callable[[], tuple[Change, ...]]:
    return lambda: survey(wanted, libvirt, memory)[0].changes


def _seconds(plan: Plan, care: Care, yes: bool, spared: str) -> int | None:
    """After how many seconds it shall undo itself; None: never."""
    if care.confirm is not None or care.never or not at_stake(plan):
        return care.confirm
    if sys.stdin.isatty():
        say(f"so it undoes itself after {confirm.DEFAULT} s, unless: guestnet confirm")
        return confirm.DEFAULT
    if yes:
        what = f"the SSH session that this is applied from is at stake; {spared}"
        todo = f"say --confirm {confirm.DEFAULT}: it undoes itself unless guestnet confirm comes; or --no-confirm"
        raise GuestnetError(what, todo)
    return None
