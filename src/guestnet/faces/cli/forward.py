"""`guestnet forward`: one forward put into the file or taken out of it, and in force or gone at once; their list."""

from __future__ import annotations

from typing import Annotated

import typer

from guestnet.faces.aside import say
from guestnet.faces.cli.options import Format, Never, Options

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Add, remove and list forwards.")

Guest = Annotated[str, typer.Argument(metavar="GUEST", help="by the name of its libvirt domain")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, whatever else differs from the file.")]


@app.command()
def add(  # noqa: PLR0913, PLR0917  typer's way: an argument each
    context: typer.Context,
    guest: Guest,
    forward: Annotated[
        str, typer.Argument(metavar="FORWARD", help="[ADDR|NIC:]HOST[-HOST][:GUEST[-GUEST]][/tcp|udp|tcp+udp]")
    ],
    source: Annotated[
        list[str] | None, typer.Option("--from", metavar="NET", help="Who may connect; can be said several times.")
    ] = None,
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is for.")] = "",
    yes: Yes = False,
    never: Never = False,
) -> int:
    """Write a forward into the file, comments kept, and put it in force at once."""
    from guestnet.faces.cli.change import edit
    from guestnet.spec import edit as files

    options: Options = context.obj
    made = files.made(forward, tuple(source or ()), description)
    done, plan = edit(options, lambda text: files.add(text, options.file, guest, made), yes, never, verb="forward add")
    running = any(domain.name == guest and domain.running for domain in plan.facts.domains)
    state = "in force" if running else f"in force when {guest} runs"
    if done.forward:
        options.document.say(f"added to {guest}: {files.told(done.forward)}, {state}")
    return 0


@app.command()
def remove(
    context: typer.Context,
    guest: Guest,
    forward: Annotated[
        str, typer.Argument(metavar="FORWARD|PORT[/PROTO]", help="as it is written, or the host's port")
    ],
    yes: Yes = False,
    never: Never = False,
) -> int:
    """Take a forward out of the file, and end it at once."""
    from guestnet.faces.cli.change import edit
    from guestnet.spec import edit as files

    options: Options = context.obj
    done, _ = edit(
        options, lambda text: files.remove(text, options.file, guest, forward), yes, never, verb="forward remove"
    )
    if done.forward:
        options.document.say(f"removed from {guest}: {files.told(done.forward)}")
    return 0


@app.command("list")
def list_(
    context: typer.Context, guest: Annotated[str, typer.Argument(metavar="[GUEST]", help="only this one's")] = ""
) -> int:
    """List the forwards as applied last: where each listens and leads, whether it is in force, what it counted."""
    import json

    from guestnet.faces import forwards
    from guestnet.host.run import need_root
    from guestnet.host.trust import need_trusted

    options: Options = context.obj
    need_root("forward list")
    need_trusted(options.file)
    found = forwards.from_host(guest)
    if options.format is Format.json:
        lines = ",\n  ".join(json.dumps(forwards.data(one)) for one in found)  # indented whole they would be 72 MiB
        typer.echo(f'{{"forwards": [\n  {lines}\n]}}')
        return 0
    if not found:
        say(f"no forward{f' of {guest}' if guest else ''} is applied")
        return 0
    typer.echo("\n".join(forwards.aligned([forwards.head(), *map(forwards.cells, found)], right=2)))
    return 0
