"""The table `inet guestnet`: static chains, and the elements that forwards are.

A forward is elements of maps, never a rule: the cost of a packet and of a change does not grow with their number.
These rule forms were tried with packets on nft 1.0.6, kernel 6.18, libvirt 9.0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from guestnet.compile import nft
from guestnet.spec.world import Address, Forward, Network, Subnet, World
from guestnet.words.addresses import network_text

# libvirt rejects new inbound connections in a base chain of its own, where an accept of ours does not count. So each
# connection we translate carries this bit, and one rule of ours in the foreign chain admits it (see `admit_rule`).
MARK = 0x2000
COMMENT = "guestnet 1"  # how our table is told from somebody else's of the same name

# How a forward listens: on an address, on a NIC, or on any address of the host. What of a packet's key says so, and
# the type of that part in a map.
_LISTENERS = {"on": ("{ip} daddr . ", "{addr} . "), "nic": ("iifname . ", "ifname . "), "any": ("", "")}
_FAMILIES = {4: ("ip", "ipv4_addr"), 6: ("ip6", "ipv6_addr")}


def _maps() -> dict[str, str]:
    """Name -> type. Forwards with `from` have maps of their own: intervals halve the rate of lookups (nft 1.0.6)."""
    return {
        f"{kind}{restricted}{family}": (
            f"{f'{addr} . ' if restricted else ''}{listener.format(addr=addr)}inet_proto . inet_service"
            f" : {addr} . inet_service"
        )
        for kind, (_, listener) in _LISTENERS.items()
        for restricted in ("_from", "")
        for family, (_, addr) in _FAMILIES.items()
    }


MAPS = _maps()


def table(world: World) -> str:
    """The transaction that installs the table, with no forward in it yet."""
    lines = [f'comment "{COMMENT}"', ""]
    maps = (nft.named_map(name, kind, interval="_from" in name) for name, kind in MAPS.items())
    for part in (*_sets(world.networks), *maps, *_chains()):
        lines += [*part, ""]
    return nft.replace_table(lines[:-1])


def elements(forwards: Iterable[Forward]) -> nft.Elements:
    """Map name -> elements. Ranges are expanded, one element a port: a shifted range in one element loads and silently
    sends every port to the first (nft 1.0.6), and hash lookups beat interval maps."""
    found: dict[str, set[str]] = defaultdict(set)
    for forward in forwards:
        kind, listener = _listener(forward)
        name = f"{kind}{'_from' if forward.source else ''}{forward.target.version}"
        source = f"{network_text(forward.source)} . " if forward.source else ""
        for shift in range(len(forward.ports)):
            key = f"{source}{listener}{forward.protocol} . {forward.ports.first + shift}"
            found[name].add(f"{key} : {forward.target} . {forward.to.first + shift}")
    return {name: tuple(sorted(items)) for name, items in sorted(found.items())}


def _listener(forward: Forward) -> tuple[str, str]:
    """The kind of map, and the part of the key."""
    if isinstance(forward.listen, str):
        return "nic", f"{nft.quoted(forward.listen)} . "
    return ("on", f"{forward.listen} . ") if forward.listen else ("any", "")


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
    guarded = [network for network in networks if network.host_access != "full"]
    chosen = {
        "isolated": [network for network in networks if network.mode == "isolated"],
        "closed4": [network for network in networks if network.mode != "isolated" and 4 not in network.open],  # noqa: PLR2004
        "closed6": [network for network in networks if network.mode != "isolated" and 6 not in network.open],  # noqa: PLR2004
        "guarded": guarded,
        "services": [network for network in guarded if network.host_access == "services"],
    }
    apart = [network.bridge for network in networks if network.guest_isolation]
    sides = [side for network in networks for side in network.sides]
    denied = [(nft.quoted(network.bridge), to) for network in networks for to in network.deny]
    return [
        nft.named_set("bridges", "ifname", bridges),
        nft.named_set("same", "ifname . ifname", [f"{bridge} . {bridge}" for bridge in bridges]),
        nft.named_set("apart", "ifname . ifname", [f"{nft.quoted(bridge)} . {nft.quoted(bridge)}" for bridge in apart]),
        *(
            nft.named_set(name, "ifname", [nft.quoted(network.bridge) for network in those])
            for name, those in chosen.items()
        ),
        *(
            part
            for family, (_, kind) in _FAMILIES.items()
            for part in (
                nft.named_set(f"own{family}", kind, _of(family, [side.host.ip for side in sides])),
                nft.named_set(
                    f"guests{family}", kind, _of(family, [side.host.network for side in sides]), interval=True
                ),
                nft.named_set(
                    f"denied{family}",
                    f"ifname . {kind}",
                    [f"{bridge} . {network_text(to)}" for bridge, to in denied if to.version == family],
                    interval=True,
                ),
            )
        ),
    ]


def _of(family: int, things: Sequence[Address | Subnet]) -> list[str]:
    return [str(thing) for thing in things if thing.version == family]


def _chains() -> list[list[str]]:
    translated = f"ct mark and {MARK:#x} == {MARK:#x} ct status dnat"
    return [
        nft.chain("prerouting", _forwards(*_LISTENERS), "nat hook prerouting priority dstnat"),
        # The host's own connections to its own address; none of them comes in through a NIC. nft 1.0.6 refuses the
        # name dstnat here, and the kernel `fib iif`, also in chains that are only jumped to.
        nft.chain("output", _forwards("on", "any"), "nat hook output priority -105"),
        *(nft.chain(f"forwards_{kind}", _translate(kind)) for kind in _LISTENERS),
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
                # With br_netfilter, packets between guests of one bridge pass here too; else only what one of them
                # sends to another by way of the host.
                f"iifname . oifname @apart {translated} accept",
                "iifname . oifname @apart drop",
                "iifname . oifname @same accept",
                # libvirt's isolated networks alone let packets out to routed ones, one way.
                "iifname @isolated drop",
                "oifname @isolated drop",
                "ct state established,related accept",
                "iifname . ip daddr @denied4 reject with icmpx type admin-prohibited",
                "iifname . ip6 daddr @denied6 reject with icmpx type admin-prohibited",
                # A nat network is closed from outside, also where libvirt leaves it open (IPv6 without NAT66).
                f"meta nfproto ipv4 oifname @closed4 {translated} accept",
                f"meta nfproto ipv6 oifname @closed6 {translated} accept",
                "meta nfproto ipv4 oifname @closed4 reject with icmpx type admin-prohibited",
                "meta nfproto ipv6 oifname @closed6 reject with icmpx type admin-prohibited",
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
    # Each way its own: a guest that sends to 68 or 546 speaks to the host's own DHCP clients.
    "iifname @guarded udp sport . udp dport { 68 . 67, 546 . 547 } accept",
    "oifname @guarded udp sport . udp dport { 67 . 68, 547 . 546 } accept",
    "iifname @guarded ip6 hoplimit 255 icmpv6 type nd-router-solicit accept",
    "oifname @guarded ip6 hoplimit 255 icmpv6 type nd-router-advert accept",
    "ip6 hoplimit 255 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
    "icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept",
    # Of connections that a router has to do with: packet too big, unreachable, time exceeded.
    "ct state related accept",
    "iifname @services meta l4proto { tcp, udp } th dport 53 accept",
    "oifname @services meta l4proto { tcp, udp } th sport 53 accept",
    "iifname @services icmp type echo-request accept",
    "oifname @services icmp type echo-reply accept",
    "iifname @services icmpv6 type echo-request accept",
    "oifname @services icmpv6 type echo-reply accept",
    "drop",
]


def _forwards(*kinds: str) -> list[str]:
    """The kinds of listeners, in the order that decides when several fit."""
    ports = "meta l4proto { tcp, udp } th dport { 53, 67, 547 }"
    rules = [
        # Without this a forward captures transit traffic, packets that only pass through the host.
        "fib daddr type != local return",
        "jump forwards_on",
        # NICs and `any` are every address but these: the host's own local services, and guests' DNS and DHCP.
        "ip daddr 127.0.0.0/8 return",
        "ip6 daddr { ::1, fe80::/10 } return",
        f"ip daddr @own4 {ports} return",
        f"ip6 daddr @own6 {ports} return",
    ]
    return rules + [f"jump forwards_{kind}" for kind in kinds if kind != "on"]


def _translate(kind: str) -> list[str]:
    """The rules for a kind of listener: those that a forward names in `from` go before everybody."""
    rules = []
    for family, (ip, _) in _FAMILIES.items():
        # A NIC stands for the addresses it has now: the kernel looks for them at each packet.
        only = f"meta nfproto ipv{family} {'fib daddr . iif type local ' if kind == 'nic' else ''}"
        for name, source in ((f"{kind}_from{family}", f"{ip} saddr . "), (f"{kind}{family}", "")):
            key = f"{source}{_LISTENERS[kind][0].format(ip=ip)}meta l4proto . th dport"
            rules += [
                f"{only}{key} @{name} ct mark set ct mark or {MARK:#x}",
                # Interval maps want the protocols named before them (nft 1.0.6).
                f"{only}meta l4proto {{ tcp, udp }} dnat {ip} to {key} map @{name}",
            ]
    return rules
