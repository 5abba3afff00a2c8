"""Reads libvirt's own firewall chains, by both of its backends. Changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from guestnet.decide import libvirtrules
from guestnet.decide.libvirtrules import Chain, Rules
from guestnet.host.run import ProgramError, run, succeeds


def lacking(networks: Mapping[str, str]) -> str:
    """See decide.libvirtrules."""
    return libvirtrules.lacking(networks, _rules()) if networks else ""


def _rules() -> Rules:
    found: dict[Chain, list[str]] = defaultdict(list)
    for program in ("iptables", "ip6tables"):
        for table in ("filter", "nat"):
            for line in _lines(program, "-w", "5", "-t", table, "-S"):
                what, name, *_ = line.split(" ")
                if name.startswith("LIBVIRT_"):
                    found[Chain(program, name)] += [line] if what == "-A" else []
    for family in ("ip", "ip6"):
        chain = Chain(f"{family} libvirt_network", "")
        for line in _lines("nft", "-s", "list", "table", family, "libvirt_network"):
            if line.startswith("\tchain "):
                chain = chain._replace(name=line.split()[1])
                found[chain] = []
            elif line.startswith("\t\t") and not line.startswith("\t\ttype "):
                found[chain].append(line.strip())
    return {chain: tuple(lines) for chain, lines in found.items()}


def jumped_to() -> bool:
    """Whether libvirt's chains are there and asked, by the backend that it uses: jumps in FORWARD and nat's
    POSTROUTING, or a table (>= 10.4)."""
    jumps = (("-C", "FORWARD", "-j", "LIBVIRT_FWI"), ("-t", "nat", "-C", "POSTROUTING", "-j", "LIBVIRT_PRT"))
    there = all(succeeds("iptables", "-w", "5", *jump) for jump in jumps)
    return there or succeeds("nft", "list", "table", "ip", "libvirt_network")


def _lines(*command: str) -> list[str]:
    try:
        return run(*command).splitlines()
    except ProgramError:
        return []  # a table that is not there, or that this kernel does not have
