"""`guestnet render`: what apply would write. Needs no root and no libvirt."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from guestnet.faces.cli.options import Options, text_only


class Part(StrEnum):
    xml = "xml"
    nft = "nft"
    dhcp = "dhcp"
    gai = "gai"


def render(
    context: typer.Context,
    only: Annotated[Part | None, typer.Option("--only", help="One kind of text alone.")] = None,
) -> int:
    """Print the texts that apply would write: network XML, firewall table, DHCP reservations, guests' gai.conf."""
    from guestnet.faces import texts
    from guestnet.faces.cli.offline import offline_world

    options: Options = context.obj
    text_only(options, "render prints what apply would write, as it is written")
    _, world = offline_world(options.file)
    parts = ((Part.xml, texts.xml_text), (Part.nft, texts.nft_text), (Part.dhcp, texts.dhcp_text))
    for part, text in (*parts, (Part.gai, texts.gai_text)):
        if only in (None, part):
            typer.echo(text(world), nl=False)
    return 0
