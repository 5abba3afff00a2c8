"""Prefix NAT in the table: a network's ULA /64 is the uplink's /64 outside, bit for bit in the other half.

Not NPTv6 (RFC 6296), which keeps no state and chooses addresses that leave checksums as they are; this is connection
tracking's NAT, by prefix maps. `parts6` has the own halves of those guests' addresses that the host answers for
outside, whatever the prefix is: only they are translated so, both ways. What others in the network send is NAT66, as
the host's own address.

Tried with packets on nft 1.0.6, kernel 6.18: from outside, outwards, from the host, from guests beside and the guest
itself by its address outside. Loading, listing and loading the listing again too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from guestnet.compile import ndp, nft
from guestnet.spec.world import Guest, Network, Outside

INWARDS, OUTWARDS = "inward6", "outward6"  # maps of prefixes
PARTS = "parts6"
_ULAS = "translated6"
_OWN_HALF = "::ffff:ffff:ffff:ffff"
_PREFIXES = "ipv6_addr : interval ipv6_addr"
HEADS = (f"\tset {PARTS} ",)  # how nft lists what has elements that come and go, beside maps


def named(networks: Iterable[Network]) -> list[list[str]]:
    """The maps and sets; none where nothing is translated."""
    ulas = [str(network.v6.host.network) for network in networks if network.translated and network.v6]
    if not ulas:
        return []
    return [
        nft.named_map(INWARDS, _PREFIXES, interval=True),
        nft.named_map(OUTWARDS, _PREFIXES, interval=True),
        nft.named_set(PARTS, "ipv6_addr"),
        nft.named_set(_ULAS, "ipv6_addr", ulas, interval=True),
    ]


def inwards(networks: Sequence[Network]) -> list[str]:
    """For connections from anywhere, the host itself too, before any other rule looks where they go. A prefix of the
    uplink holds routers and hosts too, so it is asked for guests' parts first."""
    if not _is_asked(networks):
        return []
    gate = f"ip6 daddr & {_OWN_HALF} @{PARTS} fib daddr type != local"
    return [f"{gate} dnat ip6 prefix to ip6 daddr map @{INWARDS}"]


def outwards(networks: Sequence[Network]) -> list[str]:
    """The second: a guest that asks for one beside it by its address outside, whose answer has to come this way. The
    last ones: guests that nobody out there would find."""
    if not _is_asked(networks):
        return []
    gate, snat = f"ip6 saddr & {_OWN_HALF} @{PARTS}", f"snat ip6 prefix to ip6 saddr map @{OUTWARDS}"
    return [
        *(f"{gate} oifname {nft.quoted(nic)} {snat}" for nic in _uplinks(networks)),
        f"{gate} oifname @bridges ct status dnat {snat}",
        f"ip6 saddr @{_ULAS} oifname != @bridges masquerade",
        f"ip6 saddr @{_ULAS} oifname @bridges ct status dnat masquerade",
    ]


def elements(networks: Iterable[Network], running: Iterable[Guest]) -> nft.Elements:
    """What is in the maps and the set while these guests run. The prefixes stay when none does."""
    pairs = [(str(network.v6.host.network), network.translated) for network in networks if network.v6]
    both = [(ula, str(its.prefix)) for ula, its in pairs if its]
    if not both:
        return {}
    guests = {
        str(ndp.part(nic.ipv6)) for guest in running for nic in guest.nics if _translated(nic.outside) and nic.ipv6
    }
    found = {
        INWARDS: tuple(sorted(f"{prefix} : {ula}" for ula, prefix in both)),
        OUTWARDS: tuple(sorted(f"{ula} : {prefix}" for ula, prefix in both)),
        PARTS: tuple(sorted(guests)),
    }
    return {name: items for name, items in found.items() if items}


def _translated(outside: Outside | None) -> bool:
    return outside is not None and outside.translated


def flush() -> str:
    """What empties the maps and the set."""
    kinds = {INWARDS: "map", OUTWARDS: "map", PARTS: "set"}
    return "".join(f"flush {kind} {nft.FAMILY_TABLE} {name}\n" for name, kind in kinds.items())


def is_in(listing: str) -> bool:
    """Whether a table's listing has them."""
    return f"\tmap {INWARDS} {{" in listing


def _is_asked(networks: Iterable[Network]) -> bool:
    return any(network.translated for network in networks)


def _uplinks(networks: Iterable[Network]) -> list[str]:
    """Without those that nobody knows, as in a text that is made without a host; nft takes no empty name. On a host the
    plan says what it lacks."""
    return sorted({its.nic for network in networks if (its := network.translated) and its.nic})
