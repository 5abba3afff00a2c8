"""What is beyond the uplink: whom to ask there for the internet, and the routes that its router needs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from guestnet.decide.facts import Facts
from guestnet.spec.world import Network, Subnet, World
from guestnet.words.addresses import is_private, network_text
from guestnet.words.families import IPV4, IPV6

_SHOWN = 6  # denied networks that are told one by one

Gateways = Mapping[int, tuple[str, ...]]  # of the default routes, by family


@dataclass(frozen=True)
class Far:
    """Whom to ask for the internet, and why nobody, by family."""

    asked: Mapping[int, str] = field(default_factory=dict)
    lacks: Mapping[int, str] = field(default_factory=dict)

    def lack(self, family: int) -> str:
        return self.lacks.get(family, f"the host has no IPv{family} gateway to ask; name one with --target")


def beyond(gateways: Gateways, chosen: Mapping[int, str]) -> Far:
    """The gateway, where it has an address which others than the host can name; or who was chosen."""
    asked: dict[int, str] = {}
    lacks: dict[int, str] = {}
    for family, those in gateways.items():
        able = [one for one in those if not ip_address(one).is_link_local and ip_address(one).version == family]
        if able:
            asked[family] = able[0]
        elif those:
            lacks[family] = (
                f"the host's IPv{family} gateway {those[0]} has no address that guests could ask; "
                "name one with --target"
            )
    return Far({**asked, **chosen}, {family: why for family, why in lacks.items() if family not in chosen})


def allowed(far: Far, network: Network, chosen: Mapping[int, str]) -> Far:
    """Without those whom the network's egress denies; but where it denies all, that is to be seen."""
    asked, lacks = dict(far.asked), dict(far.lacks)
    for family, address in far.asked.items():
        if denied(network, ip_address(address)) and not all_denied(network, family):
            del asked[family]
            whom = f"{address}, which --target names" if family in chosen else f"the gateway {address}, which is asked"
            lacks[family] = f"egress denies {whom} for the internet; name another with --target"
    return Far(asked, lacks)


def denied(network: Network, address: IPv4Address | IPv6Address) -> str:
    """What of the network's egress denies it, as the file has it; empty when nothing does."""
    return next((network_text(to) for to in network.deny if to.version == address.version and address in to), "")


def all_denied(network: Network, family: int) -> bool:
    return any(to.prefixlen == 0 for to in _denied(network, family))


def but_not(network: Network, family: int) -> str:
    """`, but not 10.0.0.0/8: egress`; empty without any."""
    texts = [network_text(to) for to in _denied(network, family)]
    if not texts:
        return ""
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return f", but not {', '.join(texts[:_SHOWN])}{more}: egress"


def _denied(network: Network, family: int) -> list[Subnet]:
    return [to for to in network.deny if to.version == family]


def own(network: Network, facts: Facts, family: int) -> list[IPv4Address | IPv6Address]:
    """The host's addresses on the way out of a network: on the uplink that it names, else on all of the host's."""
    nics = [uplink.nic for uplink in facts.uplinks if family in uplink.families]
    if network.uplink:
        nics = [network.uplink]
    return [one.ip for link, one in facts.addresses if link in nics and one.version == family]


def reached(facts: Facts, family: int) -> bool:
    """Whether anybody outside can ask the host in that family: not on a host that has none of it outside its own
    networks. Of a host without any default route that is not known."""
    there = any(family in uplink.families for uplink in facts.uplinks)
    return there or not facts.uplinks or any(subnet.version == family for _, subnet in facts.subnets)


def translates(network: Network, facts: Facts, family: int) -> bool:
    """Whether a router upstream has to translate what the host itself sends: then it can do so for a routed network."""
    its = own(network, facts, family)
    return network.mode == "routed" and bool(its) and all(map(is_private, its))


def _needs_route(network: Network, family: int) -> bool:
    """Whether the answers to its guests come only by a route that the router out there has."""
    if family == IPV4:
        return network.mode == "routed" and not network.proxy_arp
    if network.v6 is None or network.v6.outside is not None:
        return False
    untranslated = network.mode == "nat" and not network.nat6 and not is_private(network.v6.host.ip)
    return network.mode == "routed" or untranslated


def notes(world: World, facts: Facts) -> Iterator[str]:
    """The routes that the router out there needs, ready to paste."""
    for network in world.networks:
        for side in network.sides:
            version = side.host.version
            via = next(iter(own(network, facts, version)), None)
            if via is not None and _needs_route(network, version):
                ip = "ip -6" if version == IPV6 else "ip"
                yield (
                    f"network {network.name}: the router upstream needs a route to it: "
                    f"{ip} route add {side.host.network} via {via}"
                )
