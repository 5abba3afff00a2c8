"""The door to chains of others in nftables: which there are, and rules of ours on top of them.

Rules of others are never parsed: a chain's listing is read line by line, and ours are told by their comment.
"""

from __future__ import annotations

import json

from guestnet.compile import admit
from guestnet.decide.admit import filters, place
from guestnet.decide.facts import Chain
from guestnet.decide.state import Admit
from guestnet.host.apart import printed
from guestnet.host.run import ProgramError, run

_HANDLE = " # handle "


def read() -> tuple[Chain, ...]:
    """All base chains, iptables' too (as nftables has them; those of iptables-legacy are not here)."""
    found = [entry["chain"] for entry in json.loads(run("nft", "-j", "list", "chains"))["nftables"] if "chain" in entry]
    return tuple(
        Chain(
            family=one["family"],
            table=one["table"],
            name=one["name"],
            type=one["type"],
            hook=one["hook"],
            priority=int(one.get("prio", 0)),
            policy=one.get("policy", "accept"),
        )
        for one in found
        if "hook" in one
    )


def admitted() -> dict[str, Admit]:
    """Our rules in chains of others, by the chain's name, as nft prints them."""
    found = {}
    for chain in filters(read()):
        name = place(chain).name
        rules = _rules(name)
        ours = [i for i, rule in enumerate(rules) if _ours(rule)]
        if ours:
            found[name] = Admit(tuple(_bare(rules[i]) for i in ours), ours == list(range(len(ours))))
    return found


def normal(wanted: dict[str, tuple[str, ...]]) -> dict[str, Admit]:
    """How nft prints rules, by the chain's name."""
    found = {}
    for name, rules in wanted.items():
        family, table, chain = name.split(" ")
        lines = [f"table {family} {table} {{", f"chain {chain} {{", "}", "}", *(f"add rule {name} {r}" for r in rules)]
        listed = printed("\n".join(lines) + "\n", "-s", "-a", "list", "chain", family, table, chain)
        found[name] = Admit(tuple(_bare(rule) for rule in _lines(listed)))
    return found


def put(name: str, after: Admit | None) -> None:
    """Makes our rules in a chain what `after` says, in one transaction. A chain that is gone needs none."""
    where = admit.place(name)
    if where is None:
        return
    try:
        there = _rules(name)
    except ProgramError as error:
        if "No such file or directory" in str(error):
            return
        raise
    lines = [f"delete rule {name} handle {rule.rpartition(_HANDLE)[2]}" for rule in there if _ours(rule)]
    lines += admit.commands(where, after.rules if after else ())
    if lines:
        run("nft", "-f", "-", given="\n".join(lines) + "\n")


def _rules(name: str) -> list[str]:
    return _lines(run("nft", "-s", "-a", "list", "chain", *name.split(" ")))


def _lines(listing: str) -> list[str]:
    """The rules in the listing of one chain, each with its handle."""
    lines = [line.strip() for line in listing.splitlines()]
    return [line for line in lines if _HANDLE in line and not line.startswith(("table ", "chain "))]


def _bare(rule: str) -> str:
    return rule.rpartition(_HANDLE)[0]


def _ours(rule: str) -> bool:
    return _bare(rule).endswith(f" {admit.COMMENT}")
