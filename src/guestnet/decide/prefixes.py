"""Which kinds of IPv6 addresses guests can have behind this host's uplink, and what each costs. Pure, from facts alone:
what the provider routes or drops is not to be seen from here, so that is said, with the way to find out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Network, ip_address

from guestnet.decide.facts import Facts, Own6
from guestnet.decide.uplink6 import global_ones
from guestnet.words.addresses import HOST_BITS6, is_private

_NO_NEIGHBOURS = ("tun", "sit", "ip6tnl", "wireguard", "ppp", "gre", "ip6gre", "vti6")  # kinds of links without NDP
_PROXY = "NDP proxy"
_ONE = 128  # bits: a single address
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_LOOK = "tcpdump -ni {nic} icmp6, while somebody outside pings an unused address of it: echo requests mean that it is "
_LOOK += "routed to this host, neighbour solicitations that it is on-link"
_BY_HAND = "it was set by hand, so only the provider knows whether others of the prefix get through: many drop "
_BY_HAND += "addresses that they have not given out"
_TRY = "try it with one guest: guestnet why GUEST internet says whether answers come back"


@dataclass(frozen=True)
class Kind:
    """can: whether this host can have it; None where only the provider knows."""

    name: str
    can: bool | None
    seen: str
    todo: str = ""


def kinds(facts: Facts) -> tuple[Kind, ...]:
    """Nothing for a host without a global address on an IPv6 uplink."""
    own = [one for one in global_ones(facts) if not one.temporary]
    if not own:
        return ()
    lasting = [one for one in own if one.address.ip not in facts.fading]
    proxied = _proxied(facts, lasting) if lasting else _faded(own)
    return _routed(facts, lasting or own), proxied, _translated(lasting, proxied), _shared(lasting or own)


def _faded(own: list[Own6]) -> Kind:
    """As when the provider has taken a prefix back, and has given no other: what plan refuses, too."""
    seen = f"{', '.join(map(place, own))}: nothing new is to use it (deprecated, or a duplicate)"
    return Kind(_PROXY, False, seen, f"see why it gets no other: ip -6 addr show dev {own[0].nic}")


def age(seconds: int) -> str:
    """`2 days`, `23 h`, `45 min`, `40 s`: rounded down."""
    for size, name in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * size or (size != _DAY and seconds >= size):
            return f"{seconds // size} {name}"
    return f"{seconds} s"


def place(own: Own6) -> str:
    """`2001:db8:1::2/64 on up0, valid for 23 h`."""
    return f"{own.address} on {own.nic}{'' if own.lifetime is None else f', valid for {age(own.lifetime)}'}"


def _routed(facts: Facts, own: list[Own6]) -> Kind:
    name, key = "a routed prefix", "ipv6: {prefix: %s}"
    nic = own[0].nic
    there = list(_delegated(facts))
    if there:
        prefix, _, link = min(there, key=lambda one: bool(one[2]))
        subnet = next(prefix.subnets(new_prefix=HOST_BITS6)) if prefix.prefixlen < HOST_BITS6 else prefix
        todo = f"a network of its own: {key % subnet}"
        if link and subnet == prefix:
            todo += f", once the host's address on {link} no longer has the whole prefix (make it /128)"
        return Kind(name, True, "; ".join(why for _, why, _ in there), todo)
    guess = _perhaps(facts, own)
    ask = "ask the provider for one, a /64 or shorter, routed to this host (DHCPv6-PD is that, too)"
    if guess:
        return Kind(name, None, guess, f"find out: {_LOOK.format(nic=nic)}")
    return Kind(name, None, "none is to be seen here; the provider knows whether one is routed to this host", ask)


def _delegated(facts: Facts) -> Iterator[tuple[IPv6Network, str, str]]:
    """Prefixes that the host has, and that are not on-link at its uplink; each with what tells so, and the link that
    has it, if any."""
    uplinks = {router.nic for router in facts.routers6}
    for route in facts.routes:
        subnet = route.subnet
        if isinstance(subnet, IPv6Network) and _for_guests(subnet) and route.kind not in ("unicast", "local"):
            yield subnet, f"{route}, as DHCPv6-PD clients leave for what was delegated", ""
    for one in facts.own6:
        if one.nic not in uplinks and not one.temporary and _for_guests(one.address.network):
            yield one.address.network, f"{one.address.network} is on {one.nic}", one.nic
    for own in global_ones(facts):
        kind = next((nic.kind for nic in facts.nics if nic.name == own.nic), "")
        if kind in _NO_NEIGHBOURS and _for_guests(own.address.network):
            yield own.address.network, f"{own.address.network} comes through {own.nic}, a tunnel", own.nic


def _for_guests(prefix: IPv6Network) -> bool:
    return 3 < prefix.prefixlen <= HOST_BITS6 and not is_private(prefix.network_address)  # noqa: PLR2004  2000::/3 is all


def _perhaps(facts: Facts, own: list[Own6]) -> str:
    for one in own:
        if one.address.network.prefixlen < HOST_BITS6:
            return f"perhaps: {place(one)} is more than one /64"
        gateways = [router.gateway for router in facts.routers6 if router.nic == one.nic and not router.advertised]
        outside = [gateway for gateway in gateways if gateway and ip_address(gateway) not in one.address.network]
        if outside and one.lifetime is None and one.address.network.prefixlen == HOST_BITS6:
            return (
                f"perhaps: the router {outside[0]}, written by hand, is not in {one.address.network}: who gives out "
                "addresses so often routes the whole /64 to the host"
            )
    return ""


def _proxied(facts: Facts, own: list[Own6]) -> Kind:
    name = _PROXY
    nics = {one.nic for one in own}
    tunnels = [nic.name for nic in facts.nics if nic.name in nics and nic.kind in _NO_NEIGHBOURS]
    if tunnels:
        return Kind(name, False, f"nobody asks for neighbours on {tunnels[0]}, a tunnel: what it has is routed here")
    whole = _whole(own)
    if whole:
        first = min(whole, key=lambda one: one.lifetime is not None)
        seen = f"{place(first)}: guests can have addresses of {_slash64(first)}, by the host's own MAC"
        todo = "ipv6: {prefix: uplink, ndp_proxy: true}"
        if first.lifetime is None:
            return Kind(name, None, f"{seen}; {_BY_HAND}", f"{todo}; {_TRY}")
        return Kind(name, True, f"{seen}; when the prefix changes, their addresses change", todo)
    shared = [
        str(route.subnet)
        for route in facts.routes
        if route.link in nics and not route.gateway and route.kind == "unicast" and _global64(route.subnet)
    ]
    only = ", ".join(place(one) for one in own)
    if any(one.address.network.prefixlen < HOST_BITS6 for one in own):
        todo = "if it is routed to this host, see above; if it is on the link, give the NIC a /64 of it"
        return Kind(name, False, f"{only}: guests can have a part of a /64 only", todo)
    if shared:
        seen = f"{only}: one address was given to the host, of {shared[0]}, which others on the link may have too"
        todo = "ask the provider whether more of its addresses are this host's; many drop what they have not given out"
        return Kind(name, None, seen, todo)
    return Kind(name, False, f"{only}, a single address: there is no /64 on-link", "ask for a /64, or a routed prefix")


def _global64(subnet: object) -> bool:
    return isinstance(subnet, IPv6Network) and subnet.prefixlen == HOST_BITS6 and not is_private(subnet.network_address)


def _whole(own: list[Own6]) -> list[Own6]:
    """Those with a /64, which guests can share."""
    return [one for one in own if one.address.network.prefixlen == HOST_BITS6]


def _slash64(own: Own6) -> IPv6Network:
    return IPv6Network((own.address.ip, HOST_BITS6), strict=False)


def _translated(own: list[Own6], proxied: Kind) -> Kind:
    name = "prefix translation"
    key = "ipv6: {prefix: translate}"
    if _whole(own):
        seen = "each guest of a ULA network gets an address of the uplink's /64 beside, and keeps its own for good"
        if proxied.can is None:
            return Kind(name, None, f"{seen}; as with the NDP proxy, the provider may drop it", f"{key}; {_TRY}")
        return Kind(name, True, seen, key)
    return Kind(name, proxied.can, "it needs a /64 too, as the NDP proxy does", proxied.todo)


def _shared(own: list[Own6]) -> Kind:
    seen = (
        f"guests of a ULA network share the host's {own[0].address.ip}, which needs nothing of the provider; their "
        "programs prefer IPv4 all the same, but for those of: guestnet prefer-ipv6 GUEST"
    )
    return Kind("NAT66", True, seen)
