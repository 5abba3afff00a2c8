"""All of a world's texts, as `render` prints them."""

from __future__ import annotations

from guestnet.compile import dhcp, netxml, nft, ruleset, translation
from guestnet.decide.prefer import printed
from guestnet.decide.prefer.wanted import means
from guestnet.spec.world import World


def xml_text(world: World) -> str:
    texts = {network.name: netxml.network_xml(network) for network in world.networks}
    texts |= {lan.name: netxml.lan_xml(lan) for lan in world.lans}
    return "".join(texts[name] for name in sorted(texts))


def nft_text(world: World) -> str:
    """The table, then each guest's forwards, which are in force while it runs."""
    parts = [ruleset.table(world)] if world.networks else []
    prefixes = translation.elements(world.networks, ())
    parts += [f"# whichever prefix the uplink has\n{nft.add_elements(prefixes)}"] if prefixes else []
    for guest in world.guests:
        its = translation.elements(world.networks, (guest,)).get(translation.PARTS)
        text = nft.add_elements({translation.PARTS: its} if its else {})
        text += nft.add_elements(ruleset.elements(guest.forwards))
        if text:
            parts.append(f"# while {guest.name} runs\n{text}")
    return "".join(parts)


def dhcp_text(world: World) -> str:
    lines = []
    for guest in world.guests:
        for nic in guest.nics:
            if nic.ipv4 or nic.reserved6:
                lines.append(f"# {dhcp.hosts_folder(nic.network)}/{dhcp.file_name(guest.name)}\n")
                unknown = f"# MAC not written in the file; libvirt tells it: {nic.ipv4 or ''} {nic.reserved6 or ''}\n"
                lines.append(dhcp.line(nic.mac, nic.ipv4, nic.reserved6, guest.name) if nic.mac else unknown)
    return "".join(lines)


def gai_text(world: World) -> str:
    """What comes into the /etc/gai.conf of each guest that shall prefer IPv6."""
    parts = []
    for guest in world.guests:
        if guest.prefer6:
            found = means(world, guest, None)
            text = printed.file(found.prefixes) if found.prefixes else f"# nothing: {found.why}\n"
            parts.append(f"# /etc/gai.conf in {guest.name}\n{text}")
    return "".join(parts)
