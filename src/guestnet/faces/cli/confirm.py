"""`guestnet confirm`: what `apply --confirm` did stays."""

from __future__ import annotations

import typer

from guestnet.faces.aside import say
from guestnet.faces.cli.options import Options


def confirm(context: typer.Context) -> int:
    """Keep what `apply --confirm` did: it does not undo itself any more."""
    from guestnet.act import confirm as act
    from guestnet.host.run import need_root
    from guestnet.host.trust import need_kept

    options: Options = context.obj
    options.document.verb = "confirm"
    need_root("confirm")
    need_kept()
    said = act.confirm()
    options.document.done.append(said)
    options.document.rollback = act.goes_back()
    say(said)
    return 0
