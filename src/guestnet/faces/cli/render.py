"""`guestnet render`: what apply would write. Needs no root and no libvirt."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from guestnet.compile import dhcp, netxml, nft, ruleset
from guestnet.faces.cli.app import Options
from guestnet.faces.cli.offline import offline_world
from guestnet.spec.world import World


class Part(StrEnum):
    xml = "xml"
    nft = "nft"
    dhcp = "dhcp"


def render(
    context: typer.Context,
    only: Annotated[Part | None, typer.Option("--only", help="One kind of text alone.")] = None,
) -> int:
    """Print the texts that apply would write: network XML, firewall table, DHCP reservations."""
    options: Options = context.obj
    _, world = offline_world(options.file)
    for part, text in (("xml", xml_text), ("nft", nft_text), ("dhcp", dhcp_text)):
        if only in (None, part):
            typer.echo(text(world), nl=False)
    return 0


def xml_text(world: World) -> str:
    return "".join(netxml.network_xml(network) for network in world.networks)


def nft_text(world: World) -> str:
    """The table, then each guest's forwards, which are in force while it runs."""
    parts = [ruleset.table(world)] if world.networks else []
    for guest in world.guests:
        text = nft.add_elements(ruleset.elements(guest.forwards))
        if text:
            parts.append(f"# while {guest.name} runs\n{text}")
    return "".join(parts)


def dhcp_text(world: World) -> str:
    lines = []
    for guest in world.guests:
        for nic in guest.nics:
            if nic.ipv4 or nic.ipv6:
                lines.append(f"# {dhcp.hosts_folder(nic.network)}/{dhcp.file_name(guest.name)}\n")
                unknown = f"# MAC not written in the file; libvirt tells it: {nic.ipv4 or ''} {nic.ipv6 or ''}\n"
                lines.append(dhcp.line(nic.mac, nic.ipv4, nic.ipv6, guest.name) if nic.mac else unknown)
    return "".join(lines)
