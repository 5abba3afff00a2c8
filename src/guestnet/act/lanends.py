"""Ends to measure with on the LAN: which networks can have them, and what they come to know there."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from ipaddress import ip_interface

from guestnet.act.ends import Known, Stage
from guestnet.decide import lan as rules
from guestnet.decide.facts import Facts
from guestnet.decide.reach import FAMILIES
from guestnet.decide.upstream import Far
from guestnet.host import probe, probelan
from guestnet.host.run import ProgramError
from guestnet.spec.world import Lan


def plug(lans: list[Lan], facts: Facts, stage: Stage, todo: contextlib.ExitStack) -> list[Lan]:
    """Two ends in each that can have them; the reasons of the others go into `stage.without`."""
    plugged: list[Lan] = []
    for lan in lans:
        unfit = rules.unfit(lan, facts)
        try:
            if not unfit:
                link = f"gnprobel{len(plugged) + 1}"
                first = _end(lan, f"{link}a", asks=True, todo=todo)
                stage.guests[lan.name] = first, _end(lan, f"{link}b", asks=False, todo=todo)
                plugged.append(lan)
        except ProgramError as error:
            unfit = f"no end could be plugged in: {error}"
        if unfit:
            stage.without[lan.name] = unfit
    return plugged


def _end(lan: Lan, link: str, *, asks: bool, todo: contextlib.ExitStack) -> probe.End:
    if lan.bridge:
        end = probelan.in_bridge(link, lan.bridge, isolated=lan.guest_isolation, asks=asks)
    else:
        end = probelan.on_nic(lan.interface or "", lan.macvtap, asks=asks)
    todo.callback(end.close)
    return end


def settle(lans: list[Lan], facts: Facts, chosen: Mapping[int, str], stage: Stage) -> None:
    """Waits for what the LAN gives them. chosen: whom to ask for the internet instead of the LAN's router."""
    ends = [end for lan in lans for end in stage.guests[lan.name]]
    for lan in lans:
        probelan.ask(stage.guests[lan.name][0])
    probelan.take(ends)
    for end in ends:
        end.listen([*end.addresses.values(), *end.near.values()])
    for lan in lans:
        first = stage.guests[lan.name][0]
        first.seen = True
        host = {}
        for family in FAMILIES:
            its = ip_interface(first.addresses[family]) if family in first.addresses else None
            address = rules.hosts_address(lan, facts, family, its)
            if its is not None and address is not None:
                host[family] = address
        far = Far({family: chosen.get(family) or router for family, router in first.routers.items()})
        stage.known[lan.name] = Known(host, far, on_lan=True)
