"""The typer application: the global options, and the verbs it is made of.

Verbs import late what they need: `check` must not wait for libvirt and netlink.
"""

from __future__ import annotations

from typing import Annotated

import typer

from guestnet import __version__
from guestnet.faces.cli import (
    adopt,
    apply,
    check,
    confirm,
    destroy,
    doctor,
    forward,
    init,
    plan,
    prefer,
    reach,
    render,
    rollback,
    schema,
    select,
    setup,
    show,
    status,
    why,
)
from guestnet.faces.cli.document import Document
from guestnet.faces.cli.options import DEFAULT_FILE, Format, Options

app = typer.Typer(
    name="guestnet",
    help="The networks of libvirt/KVM guests from one file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"guestnet {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    file: Annotated[str, typer.Option("-f", "--file", metavar="FILE", help="The file to read.")] = DEFAULT_FILE,
    uri: Annotated[
        str | None,
        typer.Option("-c", "--connect", metavar="URI", envvar="LIBVIRT_DEFAULT_URI", help="libvirt, as virsh has it."),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="For people, or for programs.")] = Format.table,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    document: Document = context.obj or Document()
    document.wanted = form is Format.json
    context.obj = Options(file, uri, form, document)


for verb in (
    init.init,
    check.check,
    show.show,
    render.render,
    schema.schema,
    status.status,
    reach.reach,
    why.why,
    select.select,
    prefer.prefer_ipv6,
    doctor.doctor,
    plan.plan,
    apply.apply,
    confirm.confirm,
    rollback.rollback,
    adopt.adopt,
    adopt.release,
    destroy.destroy,
    setup.setup,
):
    app.command()(verb)
app.add_typer(forward.app, name="forward")
