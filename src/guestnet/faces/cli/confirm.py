"""`guestnet confirm`: what `apply --confirm` did stays."""

from __future__ import annotations

import typer


def confirm() -> int:
    """Keep what `apply --confirm` did: it does not undo itself any more."""
    from guestnet.act import confirm as act
    from guestnet.host.run import need_root
    from guestnet.host.trust import need_kept

    need_root("confirm")
    need_kept()
    typer.echo(act.confirm(), err=True)
    return 0
