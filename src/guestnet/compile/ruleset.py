"""The table `inet guestnet`: static chains, and the elements that forwards are.

A forward is elements of maps, never a rule: the cost of a packet and of a change does not grow with their number.
These rule forms were tried with packets on nft 1.0.6, kernel 6.18, libvirt 9.0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from guestnet.compile import nft
from guestnet.spec.world import Forward, Network, World

# libvirt rejects new inbound connections in a base chain of its own, where an accept of ours does not count. So each
# connection we translate carries this bit, and one rule of ours in the foreign chain admits it (see `admit_rule`).
MARK = 0x2000
COMMENT = "guestnet 1"  # how our table is told from somebody else's of the same name

MAPS = {
    "any4": "inet_proto . inet_service : ipv4_addr . inet_service",
    "any6": "inet_proto . inet_service : ipv6_addr . inet_service",
    "on4": "ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
    "on6": "ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service",
}


def table(world: World) -> str:
    """The transaction that installs the table, with no forward in it yet."""
    lines = [f'comment "{COMMENT}"', ""]
    for part in (*_sets(world.networks), *(nft.named_map(*item) for item in MAPS.items()), *_chains()):
        lines += [*part, ""]
    return nft.replace_table(lines[:-1])


def elements(forwards: Iterable[Forward]) -> nft.Elements:
    """Map name -> elements. Ranges are expanded, one element a port: a shifted range in one element loads and silently
    sends every port to the first (nft 1.0.6), and hash lookups beat interval maps."""
    found: dict[str, set[str]] = defaultdict(set)
    for forward in forwards:
        family = forward.target.version
        listen = f"{forward.listen} . " if forward.listen else ""
        name = f"{'on' if forward.listen else 'any'}{family}"
        for shift in range(len(forward.ports)):
            key = f"{listen}{forward.protocol} . {forward.ports.first + shift}"
            found[name].add(f"{key} : {forward.target} . {forward.to.first + shift}")
    return {name: tuple(sorted(items)) for name, items in sorted(found.items())}


def merge(parts: Iterable[nft.Elements]) -> nft.Elements:
    """The elements of several guests together."""
    found: dict[str, set[str]] = defaultdict(set)
    for part in parts:
        for name, items in part.items():
            found[name].update(items)
    return {name: tuple(sorted(items)) for name, items in sorted(found.items())}


def admit_rule() -> tuple[str, ...]:
    """What admits our connections, as arguments of iptables and ip6tables after the chain's name.

    It asks for both, the DNAT and our bit: others set marks too (istio 0x539, tailscale, kubernetes).
    """
    mark = f"{MARK:#x}/{MARK:#x}"
    return ("-m", "conntrack", "--ctstate", "DNAT", "-m", "connmark", "--mark", mark, "-j", "ACCEPT")


def is_admit_rule(line: str) -> bool:
    """Whether a line of `iptables -S` is our admit rule: by its mark, which no other rule asks for with an accept."""
    return f"--mark {MARK:#x}/{MARK:#x}" in line and "--ctstate DNAT" in line and "-j ACCEPT" in line


def _sets(networks: tuple[Network, ...]) -> list[list[str]]:
    bridges = [nft.quoted(network.bridge) for network in networks]
    isolated = [network for network in networks if network.mode == "isolated"]
    closed = [network for network in networks if network.mode == "nat"]
    guarded = [network for network in networks if network.host_access != "full"]
    dns = [network for network in guarded if network.host_access == "services"]
    sides = [side for network in networks for side in (network.v4, network.v6) if side]
    own = {4: [], 6: []}  # type: dict[int, list[str]]
    nets = {4: [], 6: []}  # type: dict[int, list[str]]
    for side in sides:
        own[side.host.version].append(str(side.host.ip))
        nets[side.host.version].append(str(side.host.network))
    return [
        nft.named_set("bridges", "ifname", bridges),
        nft.named_set("same", "ifname . ifname", [f"{bridge} . {bridge}" for bridge in bridges]),
        *(
            nft.named_set(name, "ifname", [nft.quoted(network.bridge) for network in chosen])
            for name, chosen in (("isolated", isolated), ("closed", closed), ("guarded", guarded), ("dns", dns))
        ),
        nft.named_set("own4", "ipv4_addr", own[4]),
        nft.named_set("own6", "ipv6_addr", own[6]),
        nft.named_set("guests4", "ipv4_addr", nets[4], interval=True),
        nft.named_set("guests6", "ipv6_addr", nets[6], interval=True),
    ]


def _chains() -> list[list[str]]:
    translated = f"ct mark and {MARK:#x} == {MARK:#x} ct status dnat"
    ports = "meta l4proto { tcp, udp } th dport { 53, 67, 547 }"
    return [
        nft.chain("prerouting", ["jump forwards"], "nat hook prerouting priority dstnat"),
        # The host's own connections to its own address. nft 1.0.6 refuses the name dstnat here.
        nft.chain("output", ["jump forwards"], "nat hook output priority -105"),
        nft.chain(
            "forwards",
            [
                # Without this a forward captures transit traffic, packets that only pass through the host.
                "fib daddr type != local return",
                *_translate("on4", "ip", "ip daddr . "),
                *_translate("on6", "ip6", "ip6 daddr . "),
                # `any` is every address but these: the host's own local services, and guests' DNS and DHCP.
                "ip daddr 127.0.0.0/8 return",
                "ip6 daddr { ::1, fe80::/10 } return",
                f"ip daddr @own4 {ports} return",
                f"ip6 daddr @own6 {ports} return",
                *_translate("any4", "ip", "", "meta nfproto ipv4 "),
                *_translate("any6", "ip6", "", "meta nfproto ipv6 "),
            ],
        ),
        nft.chain(
            "postrouting",
            [
                # Hairpin only: a guest that reaches a guest through the host's address. From outside the client's
                # address is kept. By source, not iifname: with br_netfilter iifname does not match here.
                f"oifname @bridges {translated} ip saddr @guests4 masquerade",
                f"oifname @bridges {translated} ip6 saddr @guests6 masquerade",
            ],
            "nat hook postrouting priority srcnat",
        ),
        nft.chain(
            "forward",
            [
                # With br_netfilter, packets between guests of one bridge pass here too.
                "iifname . oifname @same accept",
                # libvirt's isolated networks alone let packets out to routed ones, one way.
                "iifname @isolated drop",
                "oifname @isolated drop",
                "ct state established,related accept",
                # A nat network is closed from outside, also where libvirt leaves it open (IPv6 without NAT66).
                f"oifname @closed {translated} accept",
                "oifname @closed reject with icmpx type admin-prohibited",
            ],
            "filter hook forward priority -5",
        ),
        nft.chain("input", ["iifname @guarded jump guarded"], "filter hook input priority -5"),
        nft.chain("output_guarded", ["oifname @guarded jump guarded"], "filter hook output priority -5"),
        nft.chain("guarded", _GUARDED),
    ]


# Between guests and the host where host_access is not full, both ways: what guests need to get addresses at all. MLD,
# because a bridge with a querier passes neither DHCPv6 nor RA without; hop limit 255 is what no router has forwarded.
_GUARDED = [
    "udp sport . udp dport { 68 . 67, 67 . 68, 546 . 547, 547 . 546 } accept",
    "ip6 hoplimit 255 "
    "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept",
    "icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept",
    "iifname @dns meta l4proto { tcp, udp } th dport 53 accept",
    "oifname @dns meta l4proto { tcp, udp } th sport 53 accept",
    "drop",
]


def _translate(name: str, family: str, address: str, only: str = "") -> list[str]:
    key = f"{address}meta l4proto . th dport"
    return [
        f"{only}{key} @{name} ct mark set ct mark or {MARK:#x}",
        f"meta l4proto {{ tcp, udp }} dnat {family} to {key} map @{name}",
    ]
