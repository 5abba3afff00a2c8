"""`guestnet rollback`: the host as it was before the last apply. Needs no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from guestnet.faces.cli.options import Never, Options

if TYPE_CHECKING:
    from guestnet.act.journal import Begun
    from guestnet.act.rollback import Way
    from guestnet.faces.cli.change import Held


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
            typer.echo("done: the host is as it was before that", err=True)
            _say(held.recovered.file, edited=held.recovered.edit is not None and put_back(held.recovered))
            return 0
        return _back(options, held, yes, never)


def _back(options: Options, held: Held, yes: bool, never: bool) -> int:
    from guestnet.act import confirm
    from guestnet.act import rollback as act
    from guestnet.faces.cli.change import ask, attended, show
    from guestnet.faces.report import progress
    from guestnet.words.problems import ProblemsError

    begun = act.last()
    way = act.way(begun, held.libvirt)
    _refuse(way, held.spared)
    if not way.plan.changes:
        confirm.forget("undone")
        typer.echo(f"Nothing to do: the host is as it was before the {_name(begun)}.")
        return 0
    typer.echo(f"back to before the {_name(begun)}", err=True)
    show(way.plan, options)
    if way.plan.problems:
        raise ProblemsError(list(way.plan.problems))
    # While something waits nobody is asked: the answer may not come, and would be waited for past the deadline.
    # And it would be done all the same, by the countdown.
    waits = confirm.waiting() is not None
    yes = yes or waits
    attended(way.plan, yes, never or waits, held.spared)
    ask("Go back to this?", yes, held, way.plan, lambda: act.way(act.last(), held.libvirt).plan)
    edit = act.edit(begun)
    aside = confirm.back(begun, way, held.libvirt, progress)
    for error in aside:
        typer.echo(str(error), err=True)
    done = f"the host is as it was before the {_name(begun)}"
    typer.echo(f"the rest is done: but for that {done}{_later(way)}" if aside else f"done: {done}", err=True)
    _say(begun.head.file, edited=edit is not None, source=way.source)
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


def _say(file: str, *, edited: bool, source: str | None = None) -> None:
    """What is to be known of the file: the next apply would do again what it says."""
    import shlex

    from guestnet.decide.state import SOURCE
    from guestnet.host import files

    now = files.read(file) if file else None
    if edited:
        typer.echo(f"{file} says again what it said before, too", err=True)
    elif now is not None and now.text != source:
        typer.echo(f"note: {file} is as you wrote it: the next apply would do it again", err=True)
        if source is not None:
            typer.echo(f"      to have in it what is in force now: {shlex.join(['cp', SOURCE, file])}", err=True)
