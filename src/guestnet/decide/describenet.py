"""What a plan says of a network: one line a change, and whom it disturbs. Pure."""

from __future__ import annotations

from ipaddress import IPv6Address

from guestnet.compile import netlive, netxml
from guestnet.compile.bridgedrift import RESTARTS
from guestnet.decide.plan import Plan, cut_off
from guestnet.decide.state import Change, Network
from guestnet.spec import world

_FAMILY = {4: "IPv4", 6: "IPv6"}
_HOST_ACCESS = {
    "none": "neither the host nor anything behind it",
    "services": "the host's DHCP and DNS, and nothing else of it or behind it",
    "full": "the host, and nothing behind it",
}
_NATS = {"nat": ", NAT44", "routed": ", no NAT"}
_BYTES3 = 24  # bits: the network's part of an address ends at its last dot
_ITS_RULES = ", it runs on by libvirt's rules"
_FOR_GOOD = "cuts off {} for good"
_AT_START = "when it is started"
_AT_RESTART = "at the next restart of the network"
_OUTAGE = "restart: {} without network for up to 1 s"
_RULES_ANEW = "; but {} times 0.3 s without a way out: libvirt writes its NAT rules anew"


def network_lines(change: Change, plan: Plan) -> list[tuple[str, str]]:
    """(line, whom it disturbs and for how long) of a network that comes, goes or changes."""
    before, after = change.before, change.after
    hit = ", ".join(cut_off(change, plan.facts))
    if not isinstance(after, Network):
        whole = isinstance(before, Network) and netxml.own_bridge(before.xml or before.running or "<network/>")
        what = "- with its bridge, DHCP and DNS" if whole else "- from libvirt"
        return [(what, _FOR_GOOD.format(hit) if hit else "live")]
    if not isinstance(before, Network):
        lan = next((lan for lan in plan.world.lans if lan.name == change.key.name), None)
        if lan is not None:
            return [(f"+ {_over(lan)}", "live")]
        network = next((network for network in plan.world.networks if network.name == change.key.name), None)
        if network is None:  # on the way back to what nobody can tell any more
            return [("+ as it was", "live")]
        when = "live" if after.running else _AT_START
        return [(f"+ {line}", when) for line in (*_addresses(network), *_knobs(network))]
    lines = _stored(before, after)
    if before.running is None and after.running is not None:
        lines.append(("+ started", "live"))
    elif before.running != after.running:
        lines += [(f"~ now {line}", _now(before, after)) for line in _only_running(before, after)]
        lines.append(_restart(before, after, hit))
    if before.unplugged:
        lines.append((f"~ {', '.join(before.unplugged)} back into {netxml.bridge(after.xml)}", "live"))
    if before.unrecorded:
        lines.append((f"~ libvirt's record of {', '.join(before.unrecorded)}", "live"))
    lines += [(f"~ {one}", _OUTAGE.format(hit) if one in RESTARTS and hit else "live") for one in before.wrong]
    if before.autostart != after.autostart:
        lines.append((f"~ autostart {'on' if after.autostart else 'off'}", "live"))
    return lines


def _stored(before: Network, after: Network) -> list[tuple[str, str]]:
    """What becomes of its definition; of one that changes hands that, instead of its mark."""
    was, is_ours = (netxml.is_ours(side.xml or side.running or "<network/>") for side in (before, after))
    old, new, lines = before.xml, after.xml, []
    if was != is_ours:
        old, new = (netxml.unmarked(text) if text else "" for text in (old, new))
        runs = after.running is not None
        if is_ours:
            lines = [(f"+ taken over{' as it runs' if runs else ''}", "live")]
        else:
            lines = [("- given back", f"live{_ITS_RULES if runs else ''}")]
    running = netxml.differences(before.running or "", after.running or "")
    differs = netxml.differences(old, new)
    return lines + [(f"~ {line}", _when(before, after, at_once=line in running)) for line in differs]


def _when(before: Network, after: Network, *, at_once: bool) -> str:
    """When a line of its definition comes to hold. `at_once`: what runs changes by it, too."""
    if after.running is None:
        return _AT_START
    if before.running is None or at_once:
        return _now(before, after)
    return "live" if netxml.unmarked(after.running) == netxml.unmarked(after.xml) else _AT_RESTART


def _now(before: Network, after: Network) -> str:
    """How what runs becomes what it shall be; a line of its own says whom a restart disturbs."""
    return "live" if netlive.live(before.running, after.running) else "by the restart"


def _restart(before: Network, after: Network, hit: str) -> tuple[str, str]:
    """How a network that runs becomes what it shall be, and whom that disturbs."""
    if before.running and after.running and (updates := netlive.updates(before.running, after.running)) is not None:
        anew = sum(one.section in netlive.RULES_ANEW for one in updates) if "<forward" in after.running else 0
        return "~ updated as it runs", f"live{_RULES_ANEW.format(anew) if anew else ''}"
    if after.running is None:
        return "~ stopped", _FOR_GOOD.format(hit) if hit else "live"
    return "~ restarted", _OUTAGE.format(hit) if hit else "restart, no guest runs on it"


def _only_running(before: Network, after: Network) -> list[str]:
    """What differs in the network that runs, and not in its stored definition (virsh net-update --live)."""
    if after.running is None:
        return []
    stored = netxml.differences(before.xml, after.xml)
    return [line for line in netxml.differences(before.running or "", after.running or "") if line not in stored]


def _addresses(network: world.Network) -> list[str]:
    """A line a family: `192.168.84.1/24, DHCP .2 to .254, NAT44`."""
    lines = []
    if network.v4:
        pool = f"DHCP {_short(network.v4)}" if network.v4.pool else "no DHCP"
        lines.append(f"{network.v4.host}, {pool}{_NATS.get(network.mode, '')}")
    if network.v6:
        pool = f"DHCPv6 {_short(network.v6)} and RA" if network.v6.pool else "RA, no DHCPv6"
        nat = {"nat": f", {'NAT66' if network.nat6 else 'no NAT66'}", "routed": ", no NAT"}.get(network.mode, "")
        nat = "" if network.translated else nat
        lines.append(f"{network.v6.host}, {pool}{nat}{_shared(network.v6.outside)}")
    if network.mode == "isolated":
        lines.append(f"guests reach each other, {_HOST_ACCESS[network.host_access]}")
    return lines


def _shared(outside: world.Outside | None) -> str:
    if outside is None:
        return ""
    if outside.translated:
        return f", prefix NAT onto {outside.prefix} of {outside.nic}"
    return f", a part of {outside.prefix} on {outside.nic} (NDP proxy)"


def _over(lan: world.Lan) -> str:
    """Where its guests are plugged in."""
    if lan.mode == "passthrough":
        return _device(lan)
    if lan.mode == "macvtap":
        return f"macvtaps ({lan.macvtap}) on {lan.interface}; addresses from the LAN"
    return f"guests in {lan.bridge}{f' over {lan.interface}' if lan.interface else ''}; addresses from the LAN"


def _device(lan: world.Lan) -> str:
    """What each guest is given."""
    vlan = f", VLAN {lan.vlan}" if lan.vlan is not None else ""
    if lan.interfaces:
        return f"each guest one whole NIC of {lan.place} (macvtap); addresses from the LAN"
    which = f"virtual function of {lan.pf}" if lan.pf else f"of {lan.place}"
    return f"each guest one {which}{vlan}; addresses from the LAN"


def _knobs(network: world.Network) -> list[str]:
    """What it says besides addresses."""
    said = []
    if network.mode != "isolated" and network.host_access != "full":
        said.append(f"host_access {network.host_access}")
    if network.guest_isolation:
        said.append("guests do not reach each other")
    if network.deny:
        said.append(f"guests do not reach {', '.join(map(str, network.deny))}")
    if network.mode == "routed":
        doors = {_FAMILY[family]: "open" if family in network.open else "closed" for family in (4, 6)}
        said.append("inbound " + ", ".join(f"{family} {door}" for family, door in doors.items()))
    return said


def _short(side: world.Side4 | world.Side6) -> str:
    """A DHCP range without what its addresses share with the network: `.2 to .254`, `::10 to ::ff`."""
    if side.pool is None:
        return ""
    first, last = (str(address) for address in side.pool)
    if isinstance(side, world.Side4):
        parts = [address.rsplit(".", 1)[1] for address in (first, last)]
        return f".{parts[0]} to .{parts[1]}" if side.host.network.prefixlen >= _BYTES3 else f"{first} to {last}"
    mask = int(side.host.network.hostmask)
    return " to ".join(str(IPv6Address(int(address) & mask)) for address in side.pool)


def network_verb(change: Change) -> str:
    """What is done to it, for the progress of an apply."""
    before, after = change.before, change.after
    if not isinstance(after, Network):
        return "removed"
    if not isinstance(before, Network):
        return "defined and started" if after.running else "defined"
    if before.running == after.running or (before.running and netlive.live(before.running, after.running)):
        return "changed"
    return "started" if before.running is None else "changed and restarted" if after.running else "stopped"
