"""`guestnet apply`: makes the host what the file says."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from guestnet.act import apply as act
from guestnet.act.survey import Wish, survey
from guestnet.faces.cli.app import Format, Options
from guestnet.faces.cli.online import agreed, host, wish
from guestnet.faces.report import plan_data, print_plan, progress
from guestnet.words.problems import GuestnetError, ProblemsError


def apply(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Make the host what the file says; on any failure everything is taken back."""
    options: Options = context.obj
    return change(options, wish(options), yes, verb="apply", question="Apply this?")


def change(options: Options, wanted: Wish, yes: bool, *, verb: str, question: str) -> int:
    """Survey, show, ask, act. Used by apply, and by destroy with the wish for nothing."""
    with host(options, verb) as libvirt, act.changing():
        if act.recover(libvirt):
            typer.echo("an earlier apply was cut off; what it had begun has been taken back", err=True)
        plan, memory = survey(wanted, libvirt)
        if options.format is Format.json:
            typer.echo(json.dumps(plan_data(plan), indent=2))
        else:
            print_plan(plan, pending=False)
        if plan.problems:
            raise ProblemsError(list(plan.problems))
        if not plan.changes:
            return 0
        if not agreed(question, yes):
            raise GuestnetError("nothing was touched")
        act.apply(wanted, plan, memory, libvirt, progress)
    typer.echo("done: the host is as the file says" if wanted.spec else "done: nothing of guestnet is left", err=True)
    return 0
