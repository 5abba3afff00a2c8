"""The table `inet guestnet`: static chains, and the elements that forwards are.

A forward is elements of maps, never a rule: the cost of a packet and of a change does not grow with their number.
These rule forms were tried with packets on nft 1.0.6, kernel 6.18, libvirt 9.0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

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
_PORT = "inet_proto . inet_service"
# A range to the same ports is one element of a map of intervals from this many ports on. Below, each port is one of a
# hash map: lookups in 10,000 intervals have half the rate of a hash map's, and deleting one takes 755 ms (nft 1.0.6).
LARGE = 256
_FLOWS = "flows"  # begins the names of the sets in which the kernel counts
FLOWS = tuple(f"\tset {_FLOWS}{family} " for family in _FAMILIES)  # how nft lists them


class _Kind(NamedTuple):
    """A kind of map: its type, and whether its keys are intervals."""

    type: str
    interval: bool = False


def _maps() -> dict[str, _Kind]:
    """Name -> kind, in the order in which a packet asks them.

    Per listener and family: `from` (who may connect), exact ports, and ranges to the same ports, with `from` and
    without. Then a whole address to a guest, and back; 127.0.0.1; and what is open though its network is closed."""
    found: dict[str, _Kind] = {}
    for family, (_, addr) in _FAMILIES.items():
        for kind, (_, listener) in _LISTENERS.items():
            key = f"{listener.format(addr=addr)}{_PORT}"
            found[f"{kind}_from{family}"] = _Kind(f"{addr} . {key} : {addr} . inet_service", interval=True)
            found[f"{kind}_from_range{family}"] = _Kind(f"{addr} . {key} : {addr}", interval=True)
            found[f"{kind}{family}"] = _Kind(f"{key} : {addr} . inet_service")
            found[f"{kind}_range{family}"] = _Kind(f"{key} : {addr}", interval=True)
        found[f"whole{family}"] = _Kind(f"{addr} : {addr}")
        found[f"source{family}"] = _Kind(f"{addr} : {addr}")
        found[f"open{family}"] = _Kind(f"{addr} . {_PORT} : verdict", interval=True)
        found[f"open_from{family}"] = _Kind(f"{addr} . {addr} . {_PORT} : verdict", interval=True)
    found["loop4"] = _Kind(f"{_PORT} : ipv4_addr . inet_service")
    return found


MAPS = _maps()


def table(world: World) -> str:
    """The transaction that installs the table, with no forward in it yet."""
    lines = [f'comment "{COMMENT}"', ""]
    # A `counter` of a map counts lookups that find something: of a nat chain, so connections. It costs nothing.
    maps = (nft.named_map(name, kind.type, interval=kind.interval, counter=True) for name, kind in MAPS.items())
    flows = (nft.counting_set(f"{_FLOWS}{family}", f"{addr} . {_PORT}") for family, (_, addr) in _FAMILIES.items())
    for part in (*_sets(world.networks), *maps, *flows, *_chains()):
        lines += [*part, ""]
    return nft.replace_table(lines[:-1])


def elements(forwards: Iterable[Forward]) -> nft.Elements:
    """Map name -> elements. A shifted range is expanded, one element a port: in one element it loads and silently sends
    every port to the first (nft 1.0.6)."""
    found: dict[str, set[str]] = defaultdict(set)
    sources: set[Address] = set()
    for forward in forwards:
        family = forward.target.version
        if forward.protocol == "all":
            found[f"whole{family}"].add(f"{forward.listen} : {forward.target}")
            if forward.target not in sources:  # it can be only one to the outside: the first
                found[f"source{family}"].add(f"{forward.target} : {forward.listen}")
                sources.add(forward.target)
            continue
        kind, listener = _listener(forward)
        source = f"{network_text(forward.source)} . " if forward.source else ""
        name = f"{kind}{'_from' if forward.source else ''}"
        if forward.ports == forward.to and len(forward.ports) >= LARGE:
            key = f"{source}{listener}{forward.protocol} . {forward.ports}"
            found[f"{name}_range{family}"].add(f"{key} : {forward.target}")
        else:
            for shift in range(len(forward.ports)):
                key = f"{source}{listener}{forward.protocol} . {forward.ports.first + shift}"
                found[f"{name}{family}"].add(f"{key} : {forward.target} . {forward.to.first + shift}")
        if forward.opens:
            key = f"{forward.target} . {forward.protocol} . {forward.to}"
            found[f"open{'_from' if source else ''}{family}"].add(f"{source}{key} : accept")
        if forward.loopback and family == 4:  # noqa: PLR2004  [::1]: see compile.loopback
            for shift in range(len(forward.ports)):
                key = f"{forward.protocol} . {forward.ports.first + shift}"
                found["loop4"].add(f"{key} : {forward.target} . {forward.to.first + shift}")
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
    ours = f"ct mark and {MARK:#x} == {MARK:#x} ct status dnat"
    return [
        nft.chain("prerouting", _translate("forwards"), "nat hook prerouting priority dstnat"),
        # The host's own connections to its own address; none of them comes in through a NIC. nft 1.0.6 refuses the
        # name dstnat here, and the kernel `fib iif`, also in chains that are only jumped to.
        nft.chain("output", _translate("local"), "nat hook output priority -105"),
        *(part for family in _FAMILIES for part in _family(family)),
        nft.chain("postrouting", _postrouting(ours), "nat hook postrouting priority 95"),
        nft.chain("forward", _forward(ours), "filter hook forward priority -5"),
        # What route_localnet lets in, which is on where a forward serves 127.0.0.1: only the host itself has such
        # addresses. Before connection tracking, which would take an answer's address for the one that was asked.
        nft.chain(
            "martians",
            ["iifname @bridges ip daddr 127.0.0.0/8 drop", "iifname @bridges ip saddr 127.0.0.0/8 drop"],
            "filter hook prerouting priority -310",
        ),
        nft.chain("input", ["iifname @guarded jump guarded"], "filter hook input priority -5"),
        nft.chain("output_guarded", ["oifname @guarded jump guarded"], "filter hook output priority -5"),
        nft.chain("guarded", _GUARDED),
    ]


def _translate(start: str) -> list[str]:
    """The connection gets our bit, and keeps it when a map knows where it goes: that ends these chains. So each map is
    asked once."""
    return [
        # Without this a forward captures transit traffic, packets that only pass through the host.
        "fib daddr type != local return",
        f"ct mark set ct mark or {MARK:#x}",
        *(f"meta nfproto ipv{family} jump {start}{family}" for family in _FAMILIES),
        f"ct mark set ct mark and {MARK ^ 0xFFFFFFFF:#x}",
    ]


def _family(family: int) -> list[list[str]]:
    """The kinds of listeners, in the order that decides when several fit."""
    ip = _FAMILIES[family][0]
    # NICs and `any` are every address but these: the host's own local services, and guests' DNS and DHCP.
    local = "ip daddr 127.0.0.0/8" if family == 4 else "ip6 daddr { ::1, fe80::/10 }"  # noqa: PLR2004
    services = f"{ip} daddr @own{family} meta l4proto {{ tcp, udp }} th dport {{ 53, 67, 547 }} return"
    on, nic, anywhere = (f"jump {kind}{family}" for kind in _LISTENERS)
    loop = ["ip daddr 127.0.0.0/8 jump loop4"] if family == 4 else []  # noqa: PLR2004
    chains = [
        nft.chain(f"forwards{family}", [on, f"{local} return", services, nic, anywhere]),
        nft.chain(f"local{family}", [*loop, on, f"{local} return", services, anywhere]),
        *(nft.chain(f"{kind}{family}", _lookups(kind, family)) for kind in _LISTENERS),
    ]
    return [*chains, nft.chain("loop4", [_lookup("loop4", 4, "")])] if loop else chains


def _lookups(kind: str, family: int) -> list[str]:
    """Who is named in `from` goes before everybody, a port by itself before a range it is in."""
    # A NIC stands for the addresses it has now: the kernel looks for them at each packet.
    only = ["fib daddr . iif type != local return"] if kind == "nic" else []
    ip = _FAMILIES[family][0]
    listener = _LISTENERS[kind][0].format(ip=ip)
    rules = [
        _lookup(f"{kind}{some}{family}", family, f"{f'{ip} saddr . ' if 'from' in some else ''}{listener}")
        for some in ("_from", "_from_range", "", "_range")
    ]
    whole = [f"dnat {ip} to {ip} daddr map @whole{family}"] if kind == "on" else []
    return only + rules + whole


def _lookup(name: str, family: int, key: str) -> str:
    # Maps of intervals want the protocols named before them (nft 1.0.6).
    ip = _FAMILIES[family][0]
    return f"meta l4proto {{ tcp, udp }} dnat {ip} to {key}{_protocol(name, family)} . th dport map @{name}"


def _protocol(name: str, family: int) -> str:
    """Before intervals nft 1.0.6 turns the bytes of `meta l4proto` round, which is one byte: kernel 6.12 refuses that
    (6.1 and 6.18 do not). So the header's field is asked; a TCP or UDP packet behind IPv6 extension headers does not
    match there."""
    if not MAPS[name].interval:
        return "meta l4proto"
    return "ip protocol" if family == 4 else "ip6 nexthdr"  # noqa: PLR2004


def _postrouting(ours: str) -> list[str]:
    """Before srcnat (100), where libvirt masquerades: the first to translate decides."""
    return [
        # Hairpin only: a guest that reaches a guest through the host's address. From outside the client's address is
        # kept. By source, not iifname: with br_netfilter iifname does not match here.
        f"oifname @bridges {ours} ip saddr @guests4 masquerade",
        f"oifname @bridges {ours} ip6 saddr @guests6 masquerade",
        f"oifname @bridges {ours} ip saddr 127.0.0.0/8 masquerade",
        # A guest that has a whole address of the host has it towards others, too.
        "oifname @bridges return",
        "snat ip to ip saddr map @source4",
        "snat ip6 to ip6 saddr map @source6",
    ]


def _forward(ours: str) -> list[str]:
    return [
        # Bytes of each forward, by whom the client asked for. Elements come with the traffic. nft 1.0.6 takes a ct
        # port for one only where the protocols are named before.
        *(
            f"meta nfproto ipv{family} {ours} meta l4proto {{ tcp, udp }} add @{_FLOWS}{family} "
            f"{{ ct original {ip} daddr . meta l4proto . ct original proto-dst }}"
            for family, (ip, _) in _FAMILIES.items()
        ),
        # With br_netfilter, packets between guests of one bridge pass here too; else only what one of them sends to
        # another by way of the host.
        f"iifname . oifname @apart {ours} accept",
        "iifname . oifname @apart drop",
        "iifname . oifname @same accept",
        # libvirt's isolated networks alone let packets out to routed ones, one way.
        "iifname @isolated drop",
        "oifname @isolated drop",
        "ct state established,related accept",
        "iifname . ip daddr @denied4 reject with icmpx type admin-prohibited",
        "iifname . ip6 daddr @denied6 reject with icmpx type admin-prohibited",
        # A nat network is closed from outside, also where libvirt leaves it open (IPv6 without NAT66). A forward opens
        # its port at the guest's own global address, too.
        f"meta nfproto ipv4 oifname @closed4 {ours} accept",
        f"meta nfproto ipv6 oifname @closed6 {ours} accept",
        *(
            f"oifname @closed{family} meta l4proto {{ tcp, udp }} {key} . {_protocol(name, family)} . th dport "
            f"vmap @{name}"
            for family, (ip, _) in _FAMILIES.items()
            for name, key in (
                (f"open_from{family}", f"{ip} saddr . {ip} daddr"),
                (f"open{family}", f"{ip} daddr"),
            )
        ),
        "meta nfproto ipv4 oifname @closed4 reject with icmpx type admin-prohibited",
        "meta nfproto ipv6 oifname @closed6 reject with icmpx type admin-prohibited",
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
