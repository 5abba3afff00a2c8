"""`guestnet rollback`: the host as it was before the last apply. Needs no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from guestnet.faces.aside import say
from guestnet.faces.cli.options import Never, Options

if TYPE_CHECKING:
    from guestnet.act.journal import Begun
    from guestnet.act.rollback import Way
    from guestnet.faces.cli.change import Held
    from guestnet.faces.cli.document import Document


def rollback(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    never: Never = False,
) -> int:
    """Go back to how the host was before the last apply, however long ago that was; needs no file."""
    from guestnet.act import journal
    from guestnet.act.edit import put_back
    from guestnet.faces.cli.change import changing

    options: Options = context.obj
    with changing(options, "rollback") as held:
        if held.recovered is not None and held.recovered.verb != journal.ROLLBACK:
            options.document.done.append(f"what the {held.recovered.verb} had begun was taken back")
            options.document.say("done: the host is as it was before that")
            edited = held.recovered.edit is not None and put_back(held.recovered)
            _say(options.document, held.recovered.file, edited=edited)
            return 0
        return _back(options, held, yes, never)


def _back(options: Options, held: Held, yes: bool, never: bool) -> int:
    from guestnet.act import confirm
    from guestnet.act import rollback as act
    from guestnet.faces.cli.change import ask, attended, show
    from guestnet.words.problems import ProblemsError

    document = options.document
    begun = act.last()
    way = act.way(begun, held.libvirt)
    _refuse(way, held.spared)
    if not way.plan.changes:
        confirm.forget("undone")
        document.tell(f"Nothing to do: the host is as it was before the {_name(begun)}.")
        return 0
    document.say(f"back to before the {_name(begun)}")
    show(way.plan, options, yes=yes or confirm.waiting() is not None)
    if way.plan.problems:
        raise ProblemsError(list(way.plan.problems))
    # While something waits nobody is asked: the answer may not come, and would be waited for past the deadline.
    # And it would be done all the same, by the countdown.
    waits = confirm.waiting() is not None
    yes = yes or waits
    attended(way.plan, yes, never or waits, held.spared)
    ask("Go back to this?", yes, held, way.plan, lambda: act.way(act.last(), held.libvirt).plan)
    edit = act.edit(begun)
    aside = confirm.back(begun, way, held.libvirt, document.report)
    document.left += aside
    for error in aside:
        say(str(error))
    done = f"the host is as it was before the {_name(begun)}"
    document.say(f"the rest is done: but for that {done}{_later(way)}" if aside else f"done: {done}")
    _say(document, begun.head.file, edited=edit is not None, source=way.source)
    return int(bool(aside))


def _refuse(way: Way, spared: str) -> None:
    from guestnet.act.rollback import named
    from guestnet.words.problems import ConflictError

    if way.conflicts:
        what = f"{named(way.conflicts)}; going back would overwrite that; {spared}"
        raise ConflictError(what, "guestnet plan shows it, guestnet apply makes it what the file says; then go back")


def _later(way: Way) -> str:
    """What puts back in guests what could not be now."""
    import shlex

    from guestnet.act.rollback import left

    verbs = [["prefer-ipv6", one.key.name, *(["--undo"] if one.after is None else [])] for one in left(way)]
    return "".join(f"; later: {shlex.join(['guestnet', *verb])}" for verb in verbs)


def _name(begun: Begun) -> str:
    return f"{begun.head.verb} of {begun.head.when}"


def _say(document: Document, file: str, *, edited: bool, source: str | None = None) -> None:
    """What is to be known of the file: the next apply would do again what it says."""
    import shlex

    from guestnet.decide.state import SOURCE
    from guestnet.host import files

    now = files.read(file) if file else None
    if edited:
        document.say(f"{file} says again what it said before, too")
    elif now is not None and now.text != source:
        document.say(f"note: {file} is as you wrote it: the next apply would do it again")
        if source is not None:
            document.say(f"      to have in it what is in force now: {shlex.join(['cp', SOURCE, file])}")
