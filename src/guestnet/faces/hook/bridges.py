"""Bridges of ours over a NIC, and what belongs to a network's bridge when the network starts."""

import os

from guestnet.faces.hook.domainxml import RUNNING, running_nics, tags
from guestnet.faces.hook.prepared import COMPILED, HOSTS, encoded
from guestnet.faces.hook.programs import HookError, feed, log


def bridges() -> None:
    """The bridges that are ours over a NIC are there, as they are not after a boot."""
    try:
        with open(f"{COMPILED}/bridges") as source:
            found = [line.split(" ", 2) for line in source]
    except FileNotFoundError:
        return
    for bridge, nic in dict.fromkeys((words[0], words[1]) for words in found):
        if not os.path.exists(f"/sys/class/net/{bridge}") and os.path.exists(f"/sys/class/net/{nic}"):
            new, *rest = [words[2] for words in found if words[0] == bridge]
            made = feed(["ip", "-batch", "-"], new, quiet=False)
            for link in (bridge, nic):
                still(link)
            if not made or not feed(["ip", "-batch", "-"], "".join(rest), quiet=False):
                raise HookError(f"bridge {bridge} over {nic} could not be made")
            log(f"bridge {bridge} was missing; made over {nic}")


def localnet(xml: bytes) -> None:
    """Where a guest serves the host's own 127.0.0.1, its bridge may carry such addresses; a new bridge may not."""
    try:
        with open(f"{COMPILED}/localnets") as source:
            wanted = source.read().split("\n")
    except FileNotFoundError:
        return
    for tag, attributes in tags(xml):
        if tag == "bridge" and attributes.get("name") in wanted[:-1]:
            with open(f"/proc/sys/net/ipv4/conf/{attributes['name']}/route_localnet", "w") as out:
                out.write("1")


def still(link: str) -> None:
    """The host takes no address from the LAN there (see guestnet.compile.bridge)."""
    try:
        with open(f"/proc/sys/net/ipv6/conf/{link}/disable_ipv6", "w") as out:
            out.write("1")
    except OSError:
        pass  # no IPv6 at all on this host


def replug(name: str, xml: bytes) -> None:
    """The network was started: taps of guests that run go back into its bridge, where net-destroy took them out."""
    found = tags(xml)
    first = next((attributes for tag, attributes in found if tag == "bridge" and "name" in attributes), {})
    if not first or not os.path.isdir(HOSTS + encoded(name)) or not os.path.isdir(RUNNING):
        return
    files = [f"{RUNNING}/{file}" for file in os.listdir(RUNNING) if file.endswith(".xml")]
    taps = [nic["dev"] for file in files for nic in running_nics(file) if nic.get("network") == name and "dev" in nic]
    if taps:
        plug_in(first["name"], taps, first.get("stp") == "on", ("port", {"isolated": "yes"}) in found)


def plug_in(bridge: str, taps: list[str], stp: bool, isolated: bool) -> None:
    """At once, as guestnet.host.taps says why: before the bridge speaks STP, and without waiting for the detection of
    the host's own IPv6 address elsewhere. Where each guest says so itself, `apply` isolates it."""
    try:
        with open(f"/proc/sys/net/ipv6/conf/{bridge}/accept_dad", "w") as out:
            out.write("0")
    except OSError:
        pass  # no IPv6 at all on this host
    lines = [f"link set {tap} master {bridge}" for tap in taps]
    lines += [f"link set {tap} type bridge_slave isolated on" for tap in taps if isolated]
    if stp:
        lines = [f"link set {bridge} type bridge stp_state 0", *lines, f"link set {bridge} type bridge stp_state 1"]
    feed(["ip", "-force", "-batch", "-"], "\n".join(lines) + "\n", quiet=True)
