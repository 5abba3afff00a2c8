"""What was remembered, told anew by what is on the host, when the file that held it is damaged or gone. Pure.

Networks keep their subnets, bridges and MACs, guests their addresses, the host its ULA. What only the file knew, the
names of what is no more, comes from `base`: what the last apply wrote, when that is still there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import unquote

from guestnet.compile import hookdata
from guestnet.decide.state import Network
from guestnet.spec.memory import GuestMemory, Memory, NetworkMemory
from guestnet.words import xmltext

Told = tuple[str, str, IPv4Address | IPv6Address]  # network, guest, an address of it
_ULA = IPv6Network("fd00::/8")


def rebuilt(base: Memory, networks: Mapping[str, Network], told: Iterable[Told], auto: Collection[str]) -> Memory:
    """`told`: the best last. `auto`: the networks whose IPv6 subnet is of the host's ULA."""
    found = {name: _network(network.xml or network.running or "<network/>") for name, network in networks.items()}
    ula = base.ula
    for name in sorted(auto):
        subnet = found[name].ipv6 if name in found else None
        if ula is None and subnet is not None and subnet.subnet_of(_ULA):
            ula = subnet.supernet(new_prefix=48)
    guests = dict(base.guests)
    for network, guest, address in told:
        old = guests.get((network, guest), GuestMemory())
        new = replace(old, ipv4=address) if isinstance(address, IPv4Address) else replace(old, ipv6=address)
        guests[network, guest] = new
    return replace(base, ula=ula, networks={**base.networks, **found}, guests=guests)


def _network(xml: str) -> NetworkMemory:
    root = xmltext.parse(xml)
    bridge, mac = ({} if part is None else part.attrib for part in map(root.find, ("bridge", "mac")))
    found = NetworkMemory(bridge=bridge.get("name"), mac=mac.get("address"))
    for part in root.findall("ip"):
        address = part.get("address", "")
        subnet = ip_network(f"{address}/{part.get('prefix') or part.get('netmask', '32')}", strict=False)
        found = replace(found, ipv4=subnet) if isinstance(subnet, IPv4Network) else replace(found, ipv6=subnet)
    return found


def in_hook_data(file: str, text: str) -> list[Told]:
    """Of a guest's file for the hook, by its name without the folder."""
    found: list[Told] = []
    for line in text.splitlines():
        words = line.split(" ")
        if words[0] == "nic" and len(words) == hookdata.NIC_WORDS:
            found += _told(unquote(words[1]), unquote(file), words[3:])
    return found


def in_reservation(network: str, file: str, text: str) -> list[Told]:
    """Of a reservation, by its file's name: `52:54:00:12:34:56,192.168.84.10,[fd00::10],web1`."""
    return _told(network, unquote(file), [word.strip("[]") for word in text.strip().split(",")[1:]])


def _told(network: str, guest: str, words: Iterable[str]) -> list[Told]:
    found: list[Told] = []
    for word in words:
        with contextlib.suppress(ValueError):  # a `-`, or the guest's name
            found.append((network, guest, ip_address(word)))
    return found


def set_by_us(text: str | None) -> dict[str, str]:
    """From our sysctl.d file, what each was before us; that is lost, so what a kernel starts with."""
    keys = [line.partition(" = ")[0] for line in (text or "").splitlines() if " = " in line]
    return {key: "1" if key.endswith("/accept_ra") else "0" for key in keys}
