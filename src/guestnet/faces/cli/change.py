"""What apply and destroy share: survey, show, ask, act."""

from __future__ import annotations

import json

import typer

from guestnet.act import apply as act
from guestnet.act.survey import Wish, survey
from guestnet.faces.cli.online import agreed, host
from guestnet.faces.cli.options import Format, Options
from guestnet.faces.report import plan_data, print_plan, progress
from guestnet.words.problems import GuestnetError, ProblemsError


def change(options: Options, wanted: Wish, yes: bool, *, verb: str, question: str) -> int:
    """`wanted` is the file's spec for apply, and nothing for destroy."""
    with host(options, verb) as libvirt, act.changing():
        recovered = act.recover(libvirt)
        if recovered:
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
            raise GuestnetError("nothing more was touched" if recovered else "nothing was touched")
        act.apply(wanted, plan, memory, libvirt, progress)
    typer.echo("done: the host is as the file says" if wanted.spec else "done: nothing of guestnet is left", err=True)
    return 0
