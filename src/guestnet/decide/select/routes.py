"""Routes as the kernel has them, from a description of the host: what is local, on a link, broadcast, by default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from guestnet.decide.select.case import Host, Link, Own, Subnet
from guestnet.decide.select.tables import Address
from guestnet.words.families import IPV4, IPV6
from guestnet.words.problems import GuestnetError

LOOPBACK4, LOOPBACK6 = IPv4Address("127.0.0.1"), IPv6Address("::1")
ARPHRD_LOOPBACK = 772
_REFUSING = ("unreachable", "blackhole", "prohibit", "throw")
_TYPES = (*_REFUSING, "unicast", "local", "broadcast", "multicast", "anycast")
_METRIC6, _PREFIX6 = 1024, 256  # of a route that is added without one, and of an address's own


@dataclass(frozen=True)
class Route:
    """link: index of a NIC in `links_of`, None where the route refuses. source: one that it prescribes."""

    to: Subnet
    link: int | None
    kind: str = "unicast"
    source: Address | None = None
    via: Address | None = None
    metric: int = 0


def links_of(host: Host) -> tuple[Link, ...]:
    """With lo, in the order of their indexes: number i has index i + 1."""
    own = (Own(LOOPBACK4, 8), Own(LOOPBACK6, 128)) if host.lo else ()
    return (Link("lo", own, host.lo, ARPHRD_LOOPBACK), *host.links)


def find(routes: list[Route], address: Address) -> Route | None:
    """Longest prefix, then smallest metric, then the first. In one list because without rules of `ip rule` the kernel
    has local and main table in one trie, too; what is local stands first."""
    there = [route for route in routes if route.to.version == address.version and address in route.to]
    return min(there, key=lambda route: (-route.to.prefixlen, route.metric), default=None)


def routes4(host: Host) -> list[Route]:
    links = links_of(host)
    own = [*_local4(links), *_subnets4(links)]
    return [*own, *_added(host, 4, own)]


def _local4(links: tuple[Link, ...]) -> Iterator[Route]:
    """A NIC that is down keeps its addresses local (fib_add_ifaddr adds these before it looks). To a later address of a
    subnet, too, the kernel connects from the first."""
    for i, link in enumerate(links):
        there = _of(link, 4)
        for own in there:
            first = next(one for one in there if one.subnet == own.subnet)
            yield Route(ip_network(own.address), i, "local", first.address)
            if link.name == "lo":
                yield Route(own.subnet, i, "local", own.address)


def _subnets4(links: tuple[Link, ...]) -> Iterator[Route]:
    """The first address in a subnet brings the route; since 5.14 its lowest address is an ordinary one."""
    for i, link in enumerate(links):
        seen = set()
        for own in _of(link, 4):
            subnet = own.subnet
            far = own.peer or own.address
            if subnet in seen or not link.up or link.name == "lo":
                continue
            seen.add(subnet)
            if subnet.prefixlen < subnet.max_prefixlen or far != own.address:
                yield Route(subnet, i, "unicast", own.address)
            if subnet.prefixlen < subnet.max_prefixlen - 1:
                yield Route(ip_network(subnet.broadcast_address), i, "broadcast", own.address)


def routes6(host: Host) -> list[Route]:
    if host.disable_ipv6:
        return []
    links = links_of(host)
    own = [*_own6(links), *_multicast6(links)]
    return [*own, *_added(host, 6, own)]


def _own6(links: tuple[Link, ...]) -> Iterator[Route]:
    for i, link in enumerate(links):
        if not link.up:
            continue
        for own in _of(link, 6):
            if usable(own):
                yield Route(ip_network(own.address), i, "local")
            if link.name != "lo":
                yield Route(own.subnet, i, metric=_PREFIX6)


def _multicast6(links: tuple[Link, ...]) -> Iterator[Route]:
    """Which of several NICs is taken is a matter of a hash that differs each time; here, the first."""
    for i, link in enumerate(links):
        if link.up and link.name != "lo":
            yield Route(IPv6Network("ff00::/8"), i, "multicast", metric=_PREFIX6)


def usable(own: Own) -> bool:
    """Duplicate address detection may be going on; optimistic addresses are used all the same (RFC 4429)."""
    return "tentative" not in own.flags or "optimistic" in own.flags


def _of(link: Link, family: int) -> list[Own]:
    return [own for own in link.addresses if own.address.version == family]


def _added(host: Host, family: int, own: list[Route]) -> Iterator[Route]:
    names = {link.name: i for i, link in enumerate(links_of(host))}
    up = {0: host.lo} | {i: link.up for i, link in enumerate(host.links, 1)}
    for line in (*_defaults(host, family), *host.routes):
        route = _line(line, names, family)
        if route and route.kind not in _REFUSING and route.link is None:
            near = find(own, route.via) if route.via else None
            route = replace(route, link=near.link) if near else None
        if route and (route.link is None or up[route.link]):
            yield route


def _defaults(host: Host, family: int) -> Iterator[str]:
    value = host.default4 if family == IPV4 else host.default6
    if value and host.links:
        via = "" if value is True else f"via {value} "
        yield f"{'0.0.0.0/0' if family == IPV4 else '::/0'} {via}dev {host.links[0].name}"


def _line(line: str, names: dict[str, int], family: int) -> Route | None:
    """A line of `ip route add`; None when it is of the other family."""
    words = [word for word in line.split() if word not in ("-4", "-6", "onlink")]
    kind = words.pop(0) if words and words[0] in _TYPES else "unicast"
    if not words:
        raise GuestnetError(f"routes: {line!r} has no prefix", "write it as for ip route add")
    options = dict(zip(words[1::2], words[2::2], strict=False))
    to = _to(words[0], line, options)
    if to.version != family:
        return None
    try:
        source, via = (ip_address(options[key]) if key in options else None for key in ("src", "via"))
        metric = int(options.get("metric", 0)) or (_METRIC6 if family == IPV6 else 0)
    except ValueError as error:
        raise GuestnetError(f"routes: {line!r}: {error}", "write it as for ip route add") from error
    if kind in _REFUSING:
        return Route(to, None, kind, metric=metric)
    name = options.get("dev")
    if name is not None and name not in names:
        raise GuestnetError(f"routes: {line!r}: there is no interface {name}", "see ifaces")
    return Route(to, names[name] if name else None, kind, source, via, metric)


def _to(text: str, line: str, options: dict[str, str]) -> Subnet:
    try:
        if text == "default":
            six = any(":" in options.get(key, "") for key in ("via", "src"))
            return IPv6Network("::/0") if six or line.startswith("-6") else IPv4Network("0.0.0.0/0")
        return ip_network(text)
    except ValueError as error:
        raise GuestnetError(f"routes: {line!r}: {error}", "write it as for ip route add") from error
