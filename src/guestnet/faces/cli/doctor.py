"""`guestnet doctor`: what may be wrong on this host, what was seen of it, and what to do."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from guestnet.faces.aside import say
from guestnet.faces.cli.document import Document
from guestnet.faces.cli.options import DEFAULT_FILE, Format, Options

if TYPE_CHECKING:
    from guestnet.act.survey import Wish
    from guestnet.decide.doctor import Check
    from guestnet.words.problems import GuestnetError

_WIDTH = 100


def doctor(
    context: typer.Context,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what apply mends; nothing of anybody else's.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before that.")] = False,
) -> int:
    """Check this host for what keeps guests from their networks; exit code 1 when something is wrong."""
    from guestnet.act.survey import survey
    from guestnet.decide import doctor as decided
    from guestnet.faces.cli.change import change
    from guestnet.faces.cli.online import host
    from guestnet.host.trust import code
    from guestnet.host.uplink6 import uplink6

    options: Options = context.obj
    wanted, missing = _wish(options, fix)
    with host(options, "doctor") as libvirt:
        plan = survey(wanted, libvirt)[0]
        if missing and plan.changes:
            raise missing  # with something of ours on the host, it would be checked against nothing
        found = decided.checks(plan, uplink6(plan.facts))
    if missing:
        say(f"{missing.what}: the host alone is checked")
    if fix and any(check.mends for check in found):
        asked = dataclasses.replace(options, document=Document(wanted=options.document.wanted))
        change(asked, lambda: _wish(options, fix)[0], yes, verb="doctor --fix", question="Apply this?")
        with host(options, "doctor") as libvirt:
            plan = survey(wanted, libvirt)[0]
            found = decided.checks(plan, uplink6(plan.facts))
    found += tuple(decided.Check("guestnet's own code", one.what, "look", one.todo) for one in code())
    if options.format is Format.json:
        typer.echo(json.dumps([dataclasses.asdict(check) for check in found], indent=2))
    else:
        _print(found)
    return int(any(check.verdict == "wrong" for check in found))


def _wish(options: Options, fix: bool) -> tuple[Wish, GuestnetError | None]:
    """Where the usual file is not there yet, a host with nothing of ours on it, and what there is to say of the file.
    One that was named is to be there; and without one there is nothing to mend."""
    from guestnet.act.survey import Wish
    from guestnet.faces.cli.online import wish
    from guestnet.words.problems import MissingError

    try:
        return wish(options), None
    except MissingError as error:
        if fix or options.file != DEFAULT_FILE:
            raise
        return Wish(None), error


def _print(found: tuple[Check, ...]) -> None:
    for check in found:
        head = f"{check.verdict:<6} {check.name}: "
        seen, *more = check.evidence.split("\n")
        typer.echo(textwrap.fill(f"{head}{seen}", _WIDTH, subsequent_indent=" " * 7, break_on_hyphens=False))
        for line in more:
            typer.echo(f"         {line}")
        if check.todo:
            # Commands are to be pasted: never broken.
            typer.echo(f"       do: {check.todo}".replace("\n", "\n           "))
    wrong = sum(check.verdict == "wrong" for check in found)
    mends = sum(check.mends for check in found)
    can = f"; guestnet doctor --fix mends {mends}" if mends else ""
    typer.echo(f"{wrong} wrong{can}" if wrong else "nothing is wrong")
