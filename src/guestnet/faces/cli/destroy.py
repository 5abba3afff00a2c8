"""`guestnet destroy`: takes everything of guestnet away, and leaves the rest as it was. Needs no file."""

from __future__ import annotations

from typing import Annotated

import typer

from guestnet.faces.cli.options import Never, Options


def destroy(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    never: Never = False,
) -> int:
    """Take away every network, rule, hook and file of guestnet."""
    from guestnet.act.journal import DESTROY
    from guestnet.act.survey import Wish
    from guestnet.faces.cli.change import Care, change

    options: Options = context.obj
    question = "Take all of this away, remembered addresses included?"
    return change(options, lambda: Wish(None), yes, verb=DESTROY, question=question, care=Care(never=never))
