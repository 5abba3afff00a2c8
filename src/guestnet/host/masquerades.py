"""Reads whether somebody else's rules translate the source of what passes the host. Changes nothing.

Rules are not understood: only their targets are looked at, and libvirt's chains are told by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from guestnet.decide.facts import Chain
from guestnet.host.run import ProgramError, run
from guestnet.words.families import IPV4, IPV6

_PROGRAMS = {"iptables": IPV4, "ip6tables": IPV6}
_FAMILIES = {"ip": (IPV4,), "ip6": (IPV6,), "inet": (IPV4, IPV6)}
# In chains of others than libvirt, and than the hook that guestnet comes after (SNAT-web1)
_RULE = re.compile(r"-A (?!LIBVIRT_|SNAT-).* -j (?:MASQUERADE|SNAT|NETMAP)(?: |$)")
_STATEMENT = re.compile(r"\b(?:masquerade|snat)\b")
_OURS = {("inet", "guestnet"), ("ip", "libvirt_network"), ("ip6", "libvirt_network")}


def read(chains: tuple[Chain, ...]) -> tuple[tuple[int, str], ...]:
    """(family, where), the first place of each family. `chains`: the base chains of nftables."""
    found: dict[int, str] = {}
    for family, where in (*_iptables(), *_nftables(chains)):
        found.setdefault(family, where)
    return tuple(found.items())


def _iptables() -> Iterator[tuple[int, str]]:
    for program, family in _PROGRAMS.items():
        if any(map(_RULE.match, _listed(program, "-w", "5", "-t", "nat", "-S"))):
            yield family, program


def _nftables(chains: tuple[Chain, ...]) -> Iterator[tuple[int, str]]:
    """Tables that are none of iptables'; its own are told by their chains' names, as nft may not know its targets."""
    tables = dict.fromkeys(
        (chain.family, chain.table)
        for chain in chains
        if (chain.type, chain.hook) == ("nat", "postrouting") and chain.name != "POSTROUTING"
    )
    for family, table in tables:
        if (family, table) not in _OURS and any(
            map(_STATEMENT.search, _listed("nft", "-t", "list", "table", family, table))
        ):
            yield from ((of, f"table {family} {table}") for of in _FAMILIES.get(family, ()))


def _listed(*argv: str) -> list[str]:
    try:
        return run(*argv).splitlines()
    except ProgramError:
        return []  # a table that this kernel does not have, or that was there a moment ago
