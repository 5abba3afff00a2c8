"""The door to the firewall: our table through nft, the admit rules through iptables and ip6tables.

Rules are never parsed: the table is compared as nft prints it, elements of our maps and counters alone are read back.
"""

from __future__ import annotations

import json
from ipaddress import IPv6Address
from itertools import chain
from typing import Any

from guestnet.compile import admit, nft, ruleset, translation
from guestnet.decide import stale
from guestnet.decide.state import Admit, Table
from guestnet.host import apart, conntrack, netlink, sysctl
from guestnet.host import elements as held
from guestnet.host.run import ProgramError, run, succeeds
from guestnet.words.problems import GuestnetError

_FEW = (
    64  # elements to delete one by one: each costs up to 0.1 ms, of an interval map far more (facts: 755 ms of 10,000)
)
PROGRAMS = tuple(admit.PROGRAMS)
_APPENDED = "-A FORWARD "
Elements = tuple[tuple[str, tuple[str, ...]], ...]


def normal(source: str) -> str:
    """How nft prints the table that `source` makes."""
    return apart.printed(source, "-s", "list", "table", "inet", "guestnet")


def listing() -> str | None:
    """Our table as nft prints it, without the forwards in it; None when there is none.

    Raises GuestnetError when nft can't be run. The table of somebody else is returned too: see `foreign`.
    """
    try:
        text = run("nft", "-s", "list", "table", "inet", "guestnet")
    except ProgramError as error:
        if "No such file or directory" in str(error):
            return None
        raise
    return _without_forwards(text)


def foreign(text: str | None) -> bool:
    """Whether a listed table is somebody else's: it lacks our mark."""
    return text is not None and f'comment "{ruleset.COMMENT}"' not in text


def elements() -> Elements:
    """The forwards in force, map by map."""
    data = json.loads(run("nft", "-j", "list", "maps", "inet"))
    found: dict[str, tuple[str, ...]] = {}
    for entry in data["nftables"]:
        item = entry.get("map")
        if item and item["table"] == "guestnet" and item["name"] in ruleset.MAPS and item.get("elem"):
            pairs = ((_quote(_spell(key), item["type"]), _spell(value)) for key, value in item["elem"])
            found[item["name"]] = tuple(sorted(f"{key} : {value}" for key, value in pairs))
    return tuple(sorted(found.items()))


def prefixes(listing: str) -> Elements:
    """What is in the maps and the set of prefix NAT, where the listed table has them."""
    if not translation.is_in(listing):
        return ()
    data = json.loads(run("nft", "-j", "list", "maps", "inet"))
    found = {translation.PARTS: tuple(sorted(str(IPv6Address(key)) for key, _ in held.stream(translation.PARTS)))}
    for entry in data["nftables"]:
        item = entry.get("map")
        if item and item["table"] == "guestnet" and item["name"] in (translation.INWARDS, translation.OUTWARDS):
            found[item["name"]] = tuple(
                sorted(f"{_spell(key)} : {_spell(value)}" for key, value in item.get("elem", ()))
            )
    order = (translation.INWARDS, translation.OUTWARDS, translation.PARTS)
    return tuple((name, found[name]) for name in order if found.get(name))


def put_table(before: Table | None, after: Table | None) -> None:
    """Makes the table what `after` says, in one transaction; then no tracked connection goes by what went."""
    there = dict(before.elements if before is not None else elements())
    _put(before, after)
    wanted = dict(after.elements) if after is not None else {}
    gone, new = stale.changed(there, wanted)
    ours, plain = stale.wanted(gone, new)
    if not ours and not plain:
        return
    nics = {address.ip.packed: link for link, address in netlink.addresses()}
    flows = [conntrack.flows(family, ours=True) for family in ours]
    flows += [conntrack.flows(family, ours=False) for family in plain]
    conntrack.forget(list(stale.stale(chain.from_iterable(flows), gone, new, wanted, nics)))


def _put(before: Table | None, after: Table | None) -> None:
    if after is None:
        if listing() is not None:
            run("nft", "delete", "table", "inet", "guestnet")
        return
    text = nft.add_elements(dict(after.elements))
    prefixes = nft.add_elements(dict(after.prefixes))
    if before is not None and before.listing == after.listing:
        if before.prefixes != after.prefixes:
            run("nft", "-f", "-", given=translation.flush() + prefixes)
        gone, new = stale.changed(dict(before.elements), dict(after.elements))
        few = sum(map(len, gone.values())) <= _FEW
        # What stays keeps its counts. What a hook has changed meanwhile can be in the way.
        if not few or not succeeds("nft", "-f", "-", given=nft.add_elements(gone, "delete") + nft.add_elements(new)):
            run("nft", "-f", "-", given=nft.flush_maps(ruleset.MAPS) + text)
        return
    head = "table inet guestnet\ndelete table inet guestnet\n"
    run("nft", "-f", "-", given=head + after.listing + prefixes + text)


def admitted(program: str) -> Admit | None:
    """Our rules in the FORWARD chain of `program`, iptables or ip6tables.

    libvirt puts its jumps on top when it makes them anew (after a flush), and then it rejects before we admit.
    """
    try:
        there = _forward(program)
    except ProgramError:
        return None  # a table that this kernel does not have
    ours = [rule for rule in there if _ours(rule)]
    if not ours:
        return None
    more = [rule.replace(admit.COMMENTED, "") for rule in ours if not ruleset.is_admit_rule(rule)]
    first = ruleset.is_admit_rule(there[0]) and len(more) == len(ours) - 1
    return Admit(tuple(more), first and there[: len(ours)] == ours)


def _forward(program: str) -> list[str]:
    """The rules of FORWARD, without their `-A FORWARD `."""
    lines = run(program, "-w", "5", "-S", "FORWARD").splitlines()
    return [line.removeprefix(_APPENDED) for line in lines if line.startswith(_APPENDED)]


def _ours(rule: str) -> bool:
    return admit.COMMENTED in rule or ruleset.is_admit_rule(rule)


def bridge_filter() -> tuple[str, ...]:
    """Of iptables and ip6tables those whose FORWARD judges what passes through a bridge (br_netfilter), and drops what
    no rule of it accepts."""
    found = []
    for program, key in (("iptables", "bridge-nf-call-iptables"), ("ip6tables", "bridge-nf-call-ip6tables")):
        if sysctl.read(f"net/bridge/{key}") == "1" and "-P FORWARD DROP" in run(program, "-w", "5", "-S", "FORWARD"):
            found.append(program)
    return tuple(found)


def put_admit(program: str, after: Admit | None) -> None:
    """At the top: libvirt's own chains, which reject, are jumped to from further down (libvirt 9.0). In one step: where
    FORWARD drops, a moment without them is a moment without network."""
    try:
        there = _forward(program)
    except ProgramError:
        if after is None:
            return  # it does not work, so it has taken nothing from us that could be taken away again
        raise
    wanted = [] if after is None else [" ".join(ruleset.admit_rule()), *(admit.COMMENTED + one for one in after.rules)]
    lines = [f"-D FORWARD {rule}" for rule in there if _ours(rule)]
    lines += [f"-I FORWARD 1 {rule}" for rule in reversed(wanted)]
    if lines:
        run(f"{program}-restore", "-w", "5", "-n", given="\n".join(["*filter", *lines, "COMMIT", ""]))


def _without_forwards(text: str) -> str:
    """The listing with the elements of our maps left out. A map's block ends with a line of one tab and a brace."""
    kept, in_map, in_elements = [], False, False
    for line in text.splitlines():
        in_map = (in_map and line != "\t}") or line.startswith(("\tmap ", *ruleset.FLOWS, *translation.HEADS))
        in_elements = in_map and (in_elements or line.startswith("\t\telements"))
        if not in_elements:
            kept.append(line)
        elif line.rstrip().endswith("}"):
            in_elements = False
    return "\n".join(kept) + "\n"


def _quote(key: str, types: list[str] | str) -> str:
    """The key with its NIC's name in quotes, as nft's text has it and its JSON has not."""
    parts = zip(key.split(" . "), types if isinstance(types, list) else [types], strict=True)
    return " . ".join(nft.quoted(part) if kind == "ifname" else part for part, kind in parts)


def _spell(value: Any) -> str:
    """A key or value of an element, from nft's JSON, as nft's text has it."""
    match value:
        case {"concat": parts}:
            return " . ".join(map(_spell, parts))
        case {"elem": {"val": inner}}:  # it has a comment or counter
            return _spell(inner)
        case {"prefix": {"addr": first, "len": last}} | {"range": [first, last]}:
            return f"{_spell(first)}{'/' if 'prefix' in value else '-'}{last}"
        case {"accept": None}:
            return "accept"
        case str() if ":" in value and "." in value:
            # inet_ntop(3) writes the last 32 bits of some addresses with dots, Python's ipaddress never.
            return str(IPv6Address(value))
        case str() | int():
            return str(value)
    raise GuestnetError(f"nft printed an element in a form that is not known: {value}", "report it, with nft --version")
