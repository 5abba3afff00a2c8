"""Networks whose guests share the uplink's own prefix: which uplink and prefix, and their part of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from guestnet.spec import choose, models, world
from guestnet.spec.checkprefix import USUAL
from guestnet.spec.choose import Taken
from guestnet.spec.memory import Memory, NetworkMemory
from guestnet.words.addresses import HOST_BITS6
from guestnet.words.problems import GuestnetError

EXAMPLE = IPv6Network("2001:db8::/64")  # RFC 3849: where no uplink is known, as without a host


def outside(network: models.Network, known: NetworkMemory, taken: Taken) -> world.Outside:
    """The prefix that it had, as long as the uplink has that, else the uplink's first. Without an uplink, what is
    remembered; the plan says what is wrong then."""
    translated, address = network.ipv6.prefix == "translate", network.ipv6.address
    nics = (network.uplink,) if network.uplink else taken.uplinks
    here = [one for one in taken.prefixes if one[0] in nics]
    if isinstance(address, IPv6Interface) and not translated:
        here = [one for one in here if address.ip in one[1]]
        prefix = IPv6Network((address.ip, HOST_BITS6), strict=False)
        nic = here[0][0] if here else network.uplink or known.uplink or ""
        return world.Outside(nic, prefix, translated)
    before = (known.uplink, known.prefix)
    if before in here or (not here and known.uplink and network.uplink in (None, known.uplink)):
        return world.Outside(known.uplink or "", known.prefix or EXAMPLE, translated)
    nic, prefix = here[0] if here else (network.uplink or "", EXAMPLE)
    return world.Outside(nic, prefix, translated)


def hosts(spec: models.Spec, memory: Memory, outsides: Mapping[str, world.Outside]) -> dict[str, IPv6Interface]:
    """The host's own address in each network that has a part of the uplink's prefix. Raises GuestnetError when another
    network has that prefix, or no part is left."""
    _not_another(spec, outsides)
    found: dict[str, IPv6Interface] = {}
    auto: list[str] = []
    for name, its in sorted(outsides.items()):
        written = spec.networks[name].ipv6.address
        if isinstance(written, IPv6Interface) and not its.translated:
            found[name] = written
        elif not its.translated:
            auto.append(name)
    for name in auto:
        its, known = outsides[name], memory.networks.get(name, NetworkMemory()).ipv6
        part = _within(its.prefix, known) if known and known.prefixlen > HOST_BITS6 else None
        used = [host.network for host in found.values()]
        if part is None or choose.overlaps(part, used):
            part = choose.free_part(its.prefix, USUAL, used)
        found[name] = IPv6Interface((part.network_address + 1, part.prefixlen))
    return found


def _not_another(spec: models.Spec, outsides: Mapping[str, world.Outside]) -> None:
    """Raises GuestnetError when another network has what is to be shared as its own: one of them is wrong about it."""
    for name, its in sorted(outsides.items()):
        for other, network in sorted(spec.virtual.items()):
            host = network.ipv6.address
            if isinstance(host, IPv6Interface) and not network.ipv6.shared and host.network.overlaps(its.prefix):
                what = (
                    f"network {other} has {host.network}, and network {name} shares {its.prefix} with uplink {its.nic}"
                )
                raise GuestnetError(
                    what, f"what is on the uplink's link is not routed: write prefix: uplink in {other}"
                )


def _within(prefix: IPv6Network, part: IPv6Network) -> IPv6Network:
    """The same part of another prefix."""
    bits = int(part.network_address) & int(prefix.hostmask)
    return IPv6Network((int(prefix.network_address) | bits, part.prefixlen))


def moved(address: IPv6Address, side: world.Side6) -> IPv6Address:
    """A guest's remembered address in the network as it is now."""
    subnet = side.host.network
    return IPv6Address(int(subnet.network_address) | int(address) & int(subnet.hostmask))


def known_by(guest: world.Guest, outsides: Mapping[str, world.Outside]) -> world.Guest:
    """The guest, with what others know it by."""
    if not any(nic.network in outsides for nic in guest.nics):
        return guest
    return replace(guest, nics=tuple(replace(nic, outside=outsides.get(nic.network)) for nic in guest.nics))
