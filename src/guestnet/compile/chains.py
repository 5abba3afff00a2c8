"""The rules of the table `inet guestnet`, and the maps they ask. `ruleset` has the sets and what is in the maps.

A rule that asks a set or a map in which this file's world has nothing is not written: each costs every new connection,
and some every packet, 0.1 us and more (bench/README.md). So rules follow the kinds of forwards, never their number.

These rule forms were tried with packets on nft 1.0.6, kernel 6.18, libvirt 9.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from guestnet.compile import nft, translation
from guestnet.spec.world import Network
from guestnet.words.families import IPV4

# libvirt rejects new inbound connections in a base chain of its own, where an accept of ours does not count. So each
# connection we translate carries this bit, and one rule of ours in the foreign chain admits it (see `admit_rule`).
MARK = 0x2000

# How a forward listens: on an address, on a NIC, or on any address of the host. What of a packet's key says so, and
# the type of that part in a map.
_LISTENERS = {"on": ("{ip} daddr . ", "{addr} . "), "nic": ("iifname . ", "ifname . "), "any": ("", "")}
FAMILIES = {4: ("ip", "ipv4_addr"), 6: ("ip6", "ipv6_addr")}
PORT = "inet_proto . inet_service"
SERVICES = (53, 67, 547)  # DNS and DHCP, which the host serves on its guests' bridges
SERVED = "services of the host"  # stands among the sets and maps when a forward on NICs or any address has such a port
FLOWS = "flows"  # begins the names of the sets in which the kernel counts


class Kind(NamedTuple):
    """A kind of map: its type, and whether its keys are intervals."""

    type: str
    interval: bool = False


def _maps() -> dict[str, Kind]:
    """Name -> kind, in the order in which a packet asks them.

    Per listener and family: `from` (who may connect), exact ports, and ranges to the same ports, with `from` and
    without. Then a whole address to a guest, and back; 127.0.0.1; and what is open though its network is closed."""
    found: dict[str, Kind] = {}
    for family, (_, addr) in FAMILIES.items():
        for kind, (_, listener) in _LISTENERS.items():
            key = f"{listener.format(addr=addr)}{PORT}"
            found[f"{kind}_from{family}"] = Kind(f"{addr} . {key} : {addr} . inet_service", interval=True)
            found[f"{kind}_from_range{family}"] = Kind(f"{addr} . {key} : {addr}", interval=True)
            found[f"{kind}{family}"] = Kind(f"{key} : {addr} . inet_service")
            found[f"{kind}_range{family}"] = Kind(f"{key} : {addr}", interval=True)
        found[f"whole{family}"] = Kind(f"{addr} : {addr}")
        found[f"source{family}"] = Kind(f"{addr} : {addr}")
        found[f"open{family}"] = Kind(f"{addr} . {PORT} : verdict", interval=True)
        found[f"open_from{family}"] = Kind(f"{addr} . {addr} . {PORT} : verdict", interval=True)
    found["loop4"] = Kind(f"{PORT} : ipv4_addr . inet_service")
    return found


MAPS = _maps()
_ASKED = re.compile(r"@(\w+)")  # the sets and maps in a rule's text
_OURS = f"ct mark and {MARK:#x} == {MARK:#x} ct status dnat"


def chains(filled: set[str], networks: Sequence[Network] = ()) -> list[list[str]]:
    """`filled`: the sets and maps that can have something in them. Chains without rules are not written."""
    asking = _asking(filled)
    families = [family for family in FAMILIES if any(name.endswith(str(family)) for name in filled & MAPS.keys())]
    hooks = {
        "prerouting": "nat hook prerouting priority dstnat",
        # The host's own connections to its own address; none of them comes in through a NIC. nft 1.0.6 refuses the
        # name dstnat here, and the kernel `fib iif`, also in chains that are only jumped to.
        "output": "nat hook output priority -105",
        "postrouting": "nat hook postrouting priority 95",
        "forward": "filter hook forward priority -5",
        # Before connection tracking, which would take an answer's address for the one that was asked.
        "martians": "filter hook prerouting priority -310",
        "input": "filter hook input priority -5",
        "output_guarded": "filter hook output priority -5",
    }
    rules = {
        "prerouting": [*translation.inwards(networks), *_translate("forwards", families)],
        "output": [*translation.inwards(networks), *_translate("local", families)],
        **{name: some for family in families for name, some in _family(family, filled).items()},
        "postrouting": [*(asking(_postrouting(filled)) if families else []), *translation.outwards(networks)],
        "forward": _forward(families, asking),
        "known": _known(families) if families else [],
        # What route_localnet lets in, which is on where a forward serves 127.0.0.1: only the host itself has such
        # addresses. The address is asked first: that costs every packet less than its NIC's name.
        "martians": [f"ip {end} 127.0.0.0/8 iifname @bridges drop" for end in ("daddr", "saddr") if "loop4" in filled],
        "input": asking(["iifname @guarded jump guarded"]),
        "output_guarded": asking(["oifname @guarded jump guarded"]),
        "guarded": asking(_GUARDED) if "guarded" in filled else [],
    }
    return [nft.chain(name, some, hooks.get(name, "")) for name, some in rules.items() if some]


def _asking(filled: set[str]) -> Callable[[Iterable[str]], list[str]]:
    """What leaves out the rules that ask something else than `filled` and what the kernel fills."""
    some = filled | {f"{FLOWS}{family}" for family in FAMILIES}
    return lambda rules: [rule for rule in rules if some.issuperset(_ASKED.findall(rule))]


def _translate(start: str, families: Sequence[int]) -> list[str]:
    """The connection gets our bit, and keeps it when a map knows where it goes: that ends these chains. So each map is
    asked once."""
    if not families:
        return []
    return [
        # Without this a forward captures transit traffic, packets that only pass through the host.
        "fib daddr type != local return",
        f"ct mark set ct mark or {MARK:#x}",
        *(f"meta nfproto ipv{family} jump {start}{family}" for family in families),
        f"ct mark set ct mark and {MARK ^ 0xFFFFFFFF:#x}",
    ]


def _family(family: int, filled: set[str]) -> dict[str, list[str]]:
    """The kinds of listeners, in the order that decides when several fit."""
    ip, asking = FAMILIES[family][0], _asking(filled)
    # NICs and `any` are every address but these: the host's own local services, and guests' DNS and DHCP. Loopback
    # addresses come through no NIC: the kernel drops them (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3), and `martians` where
    # route_localnet is on.
    own = "ip daddr 127.0.0.0/8 return" if family == IPV4 else "ip6 daddr ::1 return"
    local = [] if family == IPV4 else ["ip6 daddr fe80::/10 return"]
    ports = f"meta l4proto {{ tcp, udp }} th dport {{ {', '.join(map(str, SERVICES))} }}"
    services = [f"{ip} daddr @own{family} {ports} return"] if SERVED in filled else []
    on, nic, anywhere = (asking(_lookups(kind, family)) for kind in _LISTENERS)
    loop = asking([f"ip daddr 127.0.0.0/8 {_lookup('loop4', 4, '')}"]) if family == IPV4 else []
    most = [*on, *local, *services]
    jump = [f"jump nic{family}"] if nic else []
    return {
        f"forwards{family}": [*most, *jump, *anywhere],
        f"local{family}": [*loop, own, *most, *anywhere],
        # A NIC stands for the addresses it has now: the kernel looks for them at each connection.
        f"nic{family}": ["fib daddr . iif type != local return", *nic] if nic else [],
    }


def _lookups(kind: str, family: int) -> list[str]:
    """Who is named in `from` goes before everybody, a port by itself before a range it is in."""
    ip = FAMILIES[family][0]
    listener = _LISTENERS[kind][0].format(ip=ip)
    rules = [
        _lookup(f"{kind}{some}{family}", family, f"{f'{ip} saddr . ' if 'from' in some else ''}{listener}")
        for some in ("_from", "_from_range", "", "_range")
    ]
    return [*rules, f"dnat {ip} to {ip} daddr map @whole{family}"] if kind == "on" else rules


def _lookup(name: str, family: int, key: str) -> str:
    # Maps of intervals want the protocols named before them (nft 1.0.6).
    ip = FAMILIES[family][0]
    before = "meta l4proto { tcp, udp } " if MAPS[name].interval else ""
    return f"{before}dnat {ip} to {key}{_protocol(name, family)} . th dport map @{name}"


def _protocol(name: str, family: int) -> str:
    """Before intervals nft 1.0.6 turns the bytes of `meta l4proto` round, which is one byte: kernel 6.12 refuses that
    (6.1 and 6.18 do not). So the header's field is asked; a TCP or UDP packet behind IPv6 extension headers does not
    match there."""
    if not MAPS[name].interval:
        return "meta l4proto"
    return "ip protocol" if family == IPV4 else "ip6 nexthdr"


def _postrouting(filled: set[str]) -> list[str]:
    """Before srcnat (100), where libvirt masquerades: the first to translate decides."""
    # Hairpin only: a guest that reaches a guest through the host's address. From outside the client's address is kept.
    # By source, not iifname: with br_netfilter iifname does not match here. It is asked first: few packets pass that.
    sources = ["ip saddr @guests4", "ip6 saddr @guests6", *(["ip saddr 127.0.0.0/8"] if "loop4" in filled else [])]
    return [
        *(f"{source} oifname @bridges {_OURS} masquerade" for source in sources),
        # A guest that has a whole address of the host has it towards others, too.
        "oifname != @bridges snat ip to ip saddr map @source4",
        "oifname != @bridges snat ip6 to ip6 saddr map @source6",
    ]


def _forward(families: Sequence[int], asking: Callable[[Iterable[str]], list[str]]) -> list[str]:
    """What is known, most of all packets, leaves after few rules."""
    known = "goto known" if families else "accept"
    apart = [*([f"iifname . oifname @apart {_OURS} goto known"] if families else []), "iifname . oifname @apart drop"]
    # libvirt's isolated networks alone let packets out to routed ones, one way.
    isolated = asking(["iifname @isolated drop", "oifname @isolated drop"])
    same = "iifname . oifname @same accept"
    denied = asking(_DENIED)
    return [
        # With br_netfilter, packets between guests of one bridge pass here too; else only what one of them sends to
        # another by way of the host.
        *asking(apart),
        *([f"iifname . oifname @same {known}", *isolated] if isolated else []),
        f"ct state established,related {known}",
        *([same, *denied] if denied else []),
        # A nat network is closed from outside, also where libvirt leaves it open (IPv6 without NAT66). A forward opens
        # its port at the guest's own global address, too.
        *([f"{_OURS} accept"] if families else []),
        *([] if denied else [same]),
        *asking(_CLOSED),
    ]


_DENIED = (
    "iifname . ip daddr @denied4 reject with icmpx type admin-prohibited",
    "iifname . ip6 daddr @denied6 reject with icmpx type admin-prohibited",
)
_CLOSED = (
    # `ip protocol` for the reason that _protocol has.
    "oifname @closed4 meta l4proto { tcp, udp } ip saddr . ip daddr . ip protocol . th dport vmap @open_from4",
    "oifname @closed4 meta l4proto { tcp, udp } ip daddr . ip protocol . th dport vmap @open4",
    "oifname @closed6 meta l4proto { tcp, udp } ip6 saddr . ip6 daddr . ip6 nexthdr . th dport vmap @open_from6",
    "oifname @closed6 meta l4proto { tcp, udp } ip6 daddr . ip6 nexthdr . th dport vmap @open6",
    "meta nfproto ipv4 oifname @closed4 reject with icmpx type admin-prohibited",
    "meta nfproto ipv6 oifname @closed6 reject with icmpx type admin-prohibited",
)


_BARE = {4: "ip protocol tcp ip length <= 60 accept", 6: "ip6 nexthdr tcp ip6 length <= 40 accept"}


def _known(families: Sequence[int]) -> list[str]:
    """Accepts, and counts the bytes of each forward, by whom the client asked for. Elements come with the traffic. The
    first packet of a connection is not here: the map that knew it has counted it.

    To count a packet costs it 0.4 us, more than all other rules that it meets here. So what TCP sends without data is
    passed over, by its size: headers and 20 bytes of options.
    """
    return [
        *(_BARE[family] for family in families),
        # nft 1.0.6 takes a ct port for one only where the protocols are named before.
        *(
            f"meta nfproto ipv{family} {_OURS} meta l4proto {{ tcp, udp }} add @{FLOWS}{family} "
            f"{{ ct original {FAMILIES[family][0]} daddr . meta l4proto . ct original proto-dst }}"
            for family in families
        ),
        "accept",
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
