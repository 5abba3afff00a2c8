"""The door to the bridges that libvirt makes for networks: what was changed about them by hand, and mending that."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from guestnet.compile import bridgedrift, netxml
from guestnet.compile.bridgedrift import GONE, Difference
from guestnet.host import dnsmasq, netlink
from guestnet.host.run import ProgramError, run


def wrong(network: str, xml: str | None, isolated: Collection[str]) -> tuple[Difference, ...]:
    """What differs from the network as libvirt runs it. `isolated`: the taps that are to be so."""
    name = netxml.own_bridge(xml) if xml else ""
    if not xml or not name:
        return ()
    link = netlink.bridge_links({name}, isolated).get(name)
    if link is None:
        return (Difference(GONE, ""),)
    lacks = bridgedrift.without_dnsmasq(xml)
    return bridgedrift.differences(xml, link) + ((Difference(lacks, ""),) if lacks and dnsmasq.stopped(network) else ())


def mend(network: str, xml: str, isolated: Collection[str]) -> tuple[str, ...]:
    """Mends what `ip` can; returns the rest, in words."""
    found = wrong(network, xml, isolated)
    lines = [one.line for one in found if one.line]
    if lines:
        with contextlib.suppress(ProgramError):  # what it does not take shows in the next plan
            run("ip", "-force", "-batch", "-", given="\n".join(lines) + "\n")
    return tuple(one.what for one in found if not one.line)
