"""What the verbs share that change the host: survey, show, ask, act."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from guestnet.act import apply as act
from guestnet.act.edit import edited
from guestnet.act.survey import Wish, survey
from guestnet.decide.plan import Plan
from guestnet.faces.cli.online import agreed, host
from guestnet.faces.cli.options import Format, Options
from guestnet.faces.report import plan_data, print_plan, progress
from guestnet.host.libvirt import Libvirt
from guestnet.spec.edit import Edited
from guestnet.spec.load import read
from guestnet.words.problems import GuestnetError, ProblemsError


def change(options: Options, wanted: Wish, yes: bool, *, verb: str, question: str) -> int:
    """`wanted` is the file's spec for apply, and nothing for destroy."""
    with _changing(options, verb) as (libvirt, spared):
        plan, memory = survey(wanted, libvirt)
        _show(plan, options)
        if plan.problems:
            raise ProblemsError(list(plan.problems))
        if not plan.changes:
            return 0
        if not agreed(question, yes):
            raise GuestnetError(spared)
        aside = act.apply(wanted, plan, memory, libvirt, progress)
    if aside:
        for error in aside:
            typer.echo(str(error), err=True)
        typer.echo("the rest is done; guestnet plan shows what is left", err=True)
        return 1
    typer.echo("done: the host is as the file says" if wanted.spec else "done: nothing of guestnet is left", err=True)
    return 0


def edit(options: Options, make: Callable[[bytes], Edited], yes: bool, *, verb: str) -> tuple[Edited, Plan]:
    """The file edited and applied, or both as they were. It asks only when the plan holds more than that edit: what
    differs from the file already. Read under the lock, so that two of these do not undo each other."""
    with _changing(options, verb) as (libvirt, spared):
        source = read(Path(options.file))
        found = make(source)
        wanted = Wish(found.after)
        plan, memory = survey(wanted, libvirt)
        if plan.problems:
            raise ProblemsError(list(plan.problems))
        pending, _ = survey(Wish(found.before), libvirt)
        if pending.changes or options.format is Format.json:
            _show(plan, options)
        if pending.changes and not agreed("More than this differs from the file. Apply all of it?", yes):
            raise GuestnetError(spared)
        # A link stays one: what it leads to is written.
        with edited(str(Path(options.file).resolve()), source.decode(), found.text):
            for error in act.apply(wanted, plan, memory, libvirt, progress):
                typer.echo(str(error), err=True)
        for note in plan.notices:
            if note not in pending.notices:
                typer.echo(f"note: {note}", err=True)
    return found, plan


@contextmanager
def _changing(options: Options, verb: str) -> Iterator[tuple[Libvirt, str]]:
    """The host to oneself, what a killed apply had begun taken back; and what to say of a refusal."""
    with host(options, verb) as libvirt, act.changing():
        recovered = act.recover(libvirt)
        if recovered:
            typer.echo("an earlier apply was cut off; what it had begun has been taken back", err=True)
        yield libvirt, "nothing more was touched" if recovered else "nothing was touched"


def _show(plan: Plan, options: Options) -> None:
    if options.format is Format.json:
        typer.echo(json.dumps(plan_data(plan), indent=2))
    else:
        print_plan(plan, pending=False)
