"""`guestnet setup`: the hooks, the systemd unit, shell completion, and guestnet on the PATH. Needs no libvirt."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from guestnet.faces.cli import COMPLETE
from guestnet.faces.cli.options import Options

# Where each shell looks by itself: bash-completion(7), zsh's default fpath, fish(1).
_COMPLETIONS = {
    "bash": "/usr/local/share/bash-completion/completions/guestnet",
    "zsh": "/usr/local/share/zsh/site-functions/_guestnet",
    "fish": "/etc/fish/completions/guestnet.fish",
}


def setup(
    context: typer.Context,
    remove: Annotated[bool, typer.Option("--remove", help="Take all of that away again.")] = False,
) -> int:
    """Install hooks, systemd unit, shell completion and a link on the PATH; needs no libvirt and no file."""
    from guestnet.act import confirm
    from guestnet.act import setup as act
    from guestnet.act.apply import changing
    from guestnet.act.tidy import tidy
    from guestnet.decide.describe import step
    from guestnet.host.put import put_locally
    from guestnet.host.run import need_root
    from guestnet.host.trust import need_trusted

    options: Options = context.obj
    document = options.document
    document.verb = "setup --remove" if remove else "setup"
    need_root("setup")
    need_trusted(options.file)
    with changing():
        confirm.refuse()
        completions = _completions(act.MARK)
        found = act.look(completions, Path(sys.argv[0]).resolve(), remove=remove)
        for line in found.left_alone:
            document.say(line)
        for change in found.changes:
            put_locally(change)
            document.done.append(step(change))
            if not document.wanted:
                typer.echo(step(change))
        if remove:
            act.tidy_up(completions)
            tidy()
    if not found.changes:
        document.tell("Nothing to do: it is all gone." if remove else "Nothing to do: it is all there.")
    for line in [] if remove else _next(options.file):
        document.tell(f"next: {line}")
    return 0


def _next(file: str) -> list[str]:
    from guestnet.host.facts import hooks_loaded

    restart = (
        "restart libvirt once, so that it sees the hooks (running guests keep running): systemctl restart libvirtd"
    )
    plan = "guestnet plan" if Path(file).exists() else f"write {file}, then: guestnet plan"
    return [plan] if hooks_loaded() else [restart, plan]


def _completions(mark: str) -> dict[str, str]:
    """Path -> text, as typer makes it, with `mark`; that comes second, because zsh reads the first line."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # what --show-completion prints

    found = {}
    for shell, path in _COMPLETIONS.items():
        text = get_completion_script(prog_name="guestnet", complete_var=COMPLETE, shell=shell)
        first, newline, rest = text.partition("\n")
        found[path] = f"{first}\n{mark}{newline}{rest}\n"
    return found
