"""Guests that share the uplink's IPv6 prefix: it is followed, and the host answers for them out there."""

import os

from guestnet.faces.hook.prepared import COMPILED, TABLE, lines
from guestnet.faces.hook.programs import ask, feed, hear, log

OUTSIDE = f"{COMPILED}/outside"
INWARDS, OUTWARDS = "inward6", "outward6"  # of the table, for prefix NAT
NDP = ["protocol", "71"]  # how entries of ours are told from others'
ADDRESSES = "/proc/net/if_inet6"
FADING = 0x08 | 0x20  # linux/if_addr.h: IFA_F_DADFAILED, IFA_F_DEPRECATED
HALF = 16  # hex digits of an address's prefix
uplinks: dict[str, tuple[str, str]] = {}  # see `shared`


def translation() -> str:
    """What makes prefix NAT follow the uplink's prefix."""
    pairs = [(prefix, ula) for prefix, ula in shared().values() if ula != "-"]
    lines = [f"flush map {TABLE} {name}\n" for name in (INWARDS, OUTWARDS) if pairs]
    for prefix, ula in pairs:
        lines.append(f"add element {TABLE} {INWARDS} {{ {prefix} : {ula} }}\n")
        lines.append(f"add element {TABLE} {OUTWARDS} {{ {ula} : {prefix} }}\n")
    return "".join(lines)


def shared() -> dict[str, tuple[str, str]]:
    """The uplinks whose prefix guests share: NIC -> the prefix there now, and the ULA that is translated, or `-`."""
    if not uplinks and os.path.exists(OUTSIDE):  # most hosts have no such network
        try:
            with open(OUTSIDE) as source:
                for nic, prefix, ula in map(str.split, source):
                    if ula != "-" or nic not in uplinks:
                        uplinks[nic] = (now(nic, prefix), ula)
        except (OSError, ValueError) as trouble:  # the rest goes on
            log(f"{OUTSIDE}: {trouble}; run guestnet apply")
    return uplinks


def now(nic: str, prefix: str) -> str:
    """The prefix if the NIC still has it, else the one that it has instead (the choice of guestnet.decide.outside)."""
    from _socket import AF_INET6, inet_ntop, inet_pton

    there = set()
    with open(ADDRESSES) as source:
        for address, _, length, _, flags, name in map(str.split, source):
            private = address[:2] in ("fc", "fd", "fe")
            if name == nic and length == "40" and not private and not int(flags, 16) & FADING:
                there.add(address[:HALF])
    if not there or inet_pton(AF_INET6, prefix.partition("/")[0]).hex()[:HALF] in there:
        return prefix
    first = inet_ntop(AF_INET6, bytes.fromhex(min(there)) + bytes(8))
    log(f"{nic} has the prefix {first}/64 now, and not {prefix} as at the last apply")
    return f"{first}/64"


def answered(name: str) -> list[str]:
    """The addresses that the host answers for while the guest runs, each as `ADDRESS dev NIC`."""
    found = []
    for line in lines(name):
        kind, nic, address = [*line.split(" "), "", ""][:3]
        if kind == "ndp":
            found.append(f"{address} dev {nic}")
        elif kind == "translated" and nic in shared():
            from _socket import AF_INET6, inet_ntop, inet_pton

            prefix = inet_pton(AF_INET6, shared()[nic][0].partition("/")[0])
            found.append(f"{inet_ntop(AF_INET6, prefix[:8] + inet_pton(AF_INET6, address)[8:])} dev {nic}")
    return found


def answer(name: str, there: bool) -> None:
    """The host answers for the guest on the uplink, or no more."""
    entries = answered(name)
    batch(entries, [] if there else entries)


def answer_for(running: set[str]) -> None:
    """For all guests that run, and for no others of ours."""
    try:
        wanted = {entry for name in running for entry in answered(name)}
        listed = [line.split() for line in hear(ask(["ip", "-6", "neigh", "show", "proxy"])).split("\n")]
    except (OSError, ValueError) as trouble:  # the rules do not depend on it
        log(f"{trouble}; run guestnet plan")
        return
    ours = {" ".join(words[:3]) for words in listed if words[-2:] == ["proto", NDP[1]]}
    batch(sorted(wanted - ours), sorted(ours - wanted))


def batch(come: list[str], go: list[str]) -> None:
    """ip ends at an entry that is not there to delete, whatever -force says (6.1): adding first makes deleting safe."""
    text = "".join(f"neigh replace proxy {entry} {' '.join(NDP)}\n" for entry in (*come, *go))
    text += "".join(f"neigh del proxy {entry}\n" for entry in go)
    try:
        done = not text or feed(["ip", "-force", "-6", "-batch", "-"], text, quiet=False)
    except OSError as trouble:
        log(trouble)
        done = False
    if not done:
        log("not all addresses could be answered for on the uplink; run guestnet plan")
