"""What a plan says to a person: per network, guest and host, one line a change. Pure; who prints it adds the looks."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from guestnet.compile import dhcp, hookdata, ndp, netlive, netxml, translation
from guestnet.compile.bridgedrift import RESTARTS
from guestnet.decide import admit
from guestnet.decide.facts import Facts
from guestnet.decide.forwardtext import forward_lines
from guestnet.decide.plan import Plan, cut_off
from guestnet.decide.prefer import wanted as prefer
from guestnet.decide.state import Bridge, Change, File, Network, Setting, Table, Unit
from guestnet.spec import world
from guestnet.words.addresses import is_private

_FAMILY = {4: "IPv4", 6: "IPv6"}
_HOST_ACCESS = {
    "none": "neither the host nor anything behind it",
    "services": "the host's DHCP and DNS, and nothing else of it or behind it",
    "full": "the host, and nothing behind it",
}
_NATS = {"nat": ", NAT44", "routed": ", no NAT"}
_OUTAGE = "restart: {} without network for about 1 s"
_RULES_ANEW = "; but {} times 0.3 s without a way out: libvirt writes its NAT rules anew"
_BYTES3 = 24  # bits: the network's part of an address ends at its last dot


@dataclass
class Item:
    """One thing of the person's that changes: `network lab (nat, virbr1)`, new, changed or removed, and its lines.

    A line begins with +, ~ or -; `impact` says whom it disturbs.
    """

    title: str
    state: str = ""
    lines: list[tuple[str, str]] = field(default_factory=list)  # (line, impact)


def describe(plan: Plan) -> list[Item]:
    """Networks, then guests, then the host; things nobody needs to read about (folders, memory) are left out."""
    items: dict[tuple[int, str], Item] = {}
    titles = _guest_titles(plan)
    for change in plan.changes:
        rank, title, lines = _one(change, plan, titles)
        if lines:
            item = items.setdefault((rank, title), Item(title))
            item.lines += lines
            if change.key.kind == "network":
                item.state = _state(change)
    return [items[key] for key in sorted(items)]


def header(facts: Facts) -> str:
    """`host kvm1 · libvirt 9.0.0 · uplink up0: IPv4, IPv6 (router advertisement)`."""
    parts = [f"host {facts.hostname}", f"libvirt {facts.libvirt}"]
    for uplink in facts.uplinks:
        families = ", ".join(f"{_FAMILY[number]}{_private(facts, uplink.nic, number)}" for number in uplink.families)
        parts.append(f"uplink {uplink.nic}: {families}{' (router advertisement)' if uplink.kernel_ra else ''}")
    return " · ".join(parts) if facts.uplinks else " · ".join([*parts, "no uplink (no default route)"])


def _private(facts: Facts, nic: str, family: int) -> str:
    """Of a NIC that the internet cannot answer in a family but by somebody else's NAT."""
    its = [one.ip for link, one in facts.addresses if link == nic and one.version == family]
    return " private" if its and all(map(is_private, its)) else ""


def step(change: Change) -> str:
    """One step in a few words, as the progress of an apply shows it."""
    verb = "added" if change.before is None else "removed" if change.after is None else "changed"
    kind, name = change.key
    last = name.rsplit("/", 1)[-1]
    value = change.after.value if isinstance(change.after, Setting) else "as before"
    words = {
        "network": f"network {name} {_network_verb(change)}",
        "reservation": f"reservation of {last} {verb}",
        "folder": f"DHCP folder {last} {verb}",
        "hookdata": f"what the hook needs for {last} {verb}",
        "hook": f"hook {'/'.join(name.split('/')[-2:])} {verb}",
        "program": f"the hooks' program {verb}",
        "setting": f"{_dotted(name)} = {value}",
        "table": f"firewall table inet guestnet {verb}",
        "admit": f"{admit.title(change)} {verb}",
        "bridge": f"{_bridge(change)} {verb}",
        "ndp": f"{_ndp(name)} {verb}",
        "localnet": f"{_dotted(name)} = {1 if change.after else 0}",
        "proxy": f"{name} {verb}",
        "unit": f"{name} {'removed' if change.after is None else 'enabled and started'}",
        "completion": f"completion {name} {verb}",
        "link": f"link {name} {verb}",
        "prefer": f"gai.conf of {name} {'as before' if change.after is None else 'written'}",
    }
    return words.get(kind, f"{name} {verb}")


def impact(plan: Plan) -> str:
    """`5 changes, no guest loses its network.`"""
    hit = sorted({name for change in plan.changes for name in cut_off(change, plan.facts)})
    count = sum(len(item.lines) for item in describe(plan))
    many = f"{count} change{'s' if count != 1 else ''}" if count else "files of guestnet's own are written anew"
    return f"{many}, {'disturbs ' + ', '.join(hit) if hit else 'no guest loses its network'}."


_Part = tuple[int, str, list[tuple[str, str]]]  # rank on the page, title, (line, impact)


def _one(change: Change, plan: Plan, titles: Mapping[str, str]) -> _Part:
    """Where on the page a change belongs, and its lines; no lines for what nobody needs to read about."""
    kind, name = change.key
    if kind == "network":
        return 0, f"network {name}{_mode(name, plan.world)}", _network_lines(change, plan)
    if kind == "reservation":
        return 1, _guest_title(name, titles), [(_reservation(change), "live")]
    if kind == "hookdata" and name != hookdata.TABLE_FILE:
        return 1, _guest_title(name, titles), [(line, "live") for line in _forward_changes(change, plan.world)]
    if kind == "prefer":
        line = prefer.line(change, plan.world, plan.facts)
        return (
            1,
            _guest_title(dhcp.file_name(name), titles),
            [(line, "by its agent; for programs started from then on")],
        )
    silent = kind in ("memory", "hookdata") or (kind == "folder" and change.before is None)
    alone = all(other.key.kind != "hookdata" for other in plan.changes)
    return 2, "host", [] if silent else _host_lines(change, alone=alone)


def _host_lines(change: Change, *, alone: bool) -> list[tuple[str, str]]:
    """`alone`: no guest's own lines say which forwards change."""
    kind, name = change.key
    sign = "+" if change.before is None else "-" if change.after is None else "~"
    if kind == "setting":
        value = change.after.value if isinstance(change.after, Setting) else ""
        was = change.before.value if isinstance(change.before, Setting) else "?"
        why = ", so that the host keeps its own IPv6 when forwarding goes on" if name.endswith("accept_ra") else ""
        return [(f"~ {_dotted(name)} {was} -> {value}{why if value == '2' else ''}", "")]
    if kind == "table" and isinstance(change.before, Table) and isinstance(change.after, Table):
        lines = [("~ firewall table inet guestnet", "live")] if change.before.listing != change.after.listing else []
        if not lines and change.before.prefixes != change.after.prefixes:
            lines = [(f"~ prefix NAT: {_prefixes(change.before)} -> {_prefixes(change.after)}", "live")]
        gone, come = _elements(change.before.elements), _elements(change.after.elements)
        if not alone:
            return lines  # the guests' own lines say what changes
        return lines + [(line, "live") for line in _in_force(gone - come, come - gone)]
    words = {
        "table": "firewall table inet guestnet",
        "admit": f"{admit.title(change)}{admit.reason(change)}",
        "bridge": _bridge(change),
        "ndp": f"{_ndp(name)}: the host answers there for a guest's address",
        "hook": f"hook {name}",
        "program": f"the hooks' program, {name}",
        "unit": f"{name}, {_unit(change)}",
        "sysctl.d": f"{name}, for the next boot",
        "localnet": f"{_dotted(name)} = 1, so that guests serve the host's 127.0.0.1",
        "proxy": f"{name}.socket, which serves [::1]:{name.rsplit('-', 1)[-1]}",
    }
    return [(f"{sign} {words.get(kind, name)}", "")]


def _in_force(gone: set[tuple[str, str]], come: set[tuple[str, str]]) -> list[str]:
    """With the guests' addresses, where these alone are what differs."""
    alike = bool({*forward_lines(gone)} & {*forward_lines(come)})
    lines = [f"- in force: {line}" for line in forward_lines(gone, addresses=alike)]
    return lines + [f"+ in force: {line}" for line in forward_lines(come, addresses=alike)]


def _prefixes(table: Table) -> str:
    """`fd00:1::/64 as 2001:db8:1::/64 for ::10, ::11`."""
    found = dict(table.prefixes)
    pairs = [item.replace(" : ", " as ") for item in found.get(translation.OUTWARDS, ())]
    return f"{', '.join(pairs) or 'nothing'} for {', '.join(found.get(translation.PARTS, ())) or 'nobody'}"


def _ndp(name: str) -> str:
    return f"NDP proxy {name.replace(' dev ', ' on ')}"


def _unit(change: Change) -> str:
    """What there is to say of the unit: what it is for, unless only its being enabled or active changes."""
    before, after = change.before, change.after
    if isinstance(before, Unit) and isinstance(after, Unit) and before.text == after.text:
        return "enabled and started" if not before.enabled else "started"
    return "restores rules at boot and after reloads of other firewalls"


def _bridge(change: Change) -> str:
    shown = change.after if isinstance(change.after, Bridge) else change.before
    return f"bridge {change.key.name} over {shown.port if isinstance(shown, Bridge) else ''}"


def _dotted(key: str) -> str:
    """A sysctl as people write it, unless a NIC's name in it has a dot of its own."""
    return key if "." in key else key.replace("/", ".")


def _network_lines(change: Change, plan: Plan) -> list[tuple[str, str]]:
    before, after = change.before, change.after
    hit = ", ".join(cut_off(change, plan.facts))
    if not isinstance(after, Network):
        whole = isinstance(before, Network) and netxml.own_bridge(before.xml or before.running or "<network/>")
        what = "- with its bridge, DHCP and DNS" if whole else "- from libvirt"
        return [(what, f"cuts off {hit}" if hit else "")]
    if not isinstance(before, Network):
        lan = next((lan for lan in plan.world.lans if lan.name == change.key.name), None)
        if lan is not None:
            return [(f"+ {_over(lan)}", "")]
        network = next((network for network in plan.world.networks if network.name == change.key.name), None)
        if network is None:  # on the way back to what nobody can tell any more
            return [("+ as it was", "")]
        return [(f"+ {line}", "") for line in (*_addresses(network), *_knobs(network))]
    lines = [(f"~ {line}", "") for line in _xml_diff(before.xml, after.xml)]
    if before.running is None and after.running is not None:
        lines.append(("+ started", ""))
    elif before.running != after.running:
        lines += [(f"~ now {line}", "") for line in _only_running(before, after)]
        lines.append(_restart(before, after, hit))
    if before.unplugged:
        lines.append((f"~ {', '.join(before.unplugged)} back into {netxml.bridge(after.xml)}", "live"))
    if before.unrecorded:
        lines.append((f"~ libvirt's record of {', '.join(before.unrecorded)}", "live"))
    lines += [(f"~ {one}", _OUTAGE.format(hit) if one in RESTARTS and hit else "live") for one in before.wrong]
    if before.autostart != after.autostart:
        lines.append((f"~ autostart {'on' if after.autostart else 'off'}", "live"))
    return lines


def _restart(before: Network, after: Network, hit: str) -> tuple[str, str]:
    """How a network that runs becomes what it shall be, and whom that disturbs."""
    if before.running and after.running and (updates := netlive.updates(before.running, after.running)) is not None:
        anew = sum(one.section in netlive.RULES_ANEW for one in updates) if "<forward" in after.running else 0
        return "~ updated as it runs", f"live{_RULES_ANEW.format(anew) if anew else ''}"
    if after.running is None:
        return "~ stopped", f"cuts off {hit}" if hit else ""
    return "~ restarted", _OUTAGE.format(hit) if hit else "restart, no guest runs on it"


def _only_running(before: Network, after: Network) -> list[str]:
    """What differs in the network that runs, and not in its stored definition (virsh net-update --live)."""
    stored = _xml_diff(before.xml, after.xml)
    return [line for line in _xml_diff(before.running or "", after.running or "") if line not in stored]


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


def _forward_changes(change: Change, desired: world.World) -> list[str]:
    if change.key.name.startswith(f"{hookdata.NOW}/"):
        return _followed_changes(change)
    before, after = (_file_elements(side) for side in (change.before, change.after))
    gone, come = forward_lines(before - after), forward_lines(after - before)
    lines = _outside_changes(change, desired)
    if gone == come:
        return lines + [f"~ forward {line}, to its new address" for line in come]
    return lines + [f"- forward {line}" for line in gone] + [f"+ forward {line}" for line in come]


def _followed_changes(change: Change) -> list[str]:
    """Its own forwards are in another file, also when they change."""
    before, after = (
        hookdata.followed(side.text) if isinstance(side, File) else {} for side in (change.before, change.after)
    )
    lines = []
    for network in sorted({*before, *after}):
        old, new = ({one.version: one for one in its.get(network, ())} for its in (before, after))
        for family in sorted({*old, *new}):
            was, has = old.get(family), new.get(family)
            if has and has != was:
                lines.append(f"~ its forwards go to {has}, which it has{f' (not {was})' if was else ''}")
            elif not has:
                lines.append(f"~ its forwards go to {was} no more, but to the address that it is to have")
    return lines


def _outside_changes(change: Change, desired: world.World) -> list[str]:
    """Addresses that it is known by outside. Of what is translated the file has one half."""
    its = [nic for guest in desired.guests for nic in guest.nics]
    whole = {
        f"{ndp.part(one)} on {nic.outside.nic}": f"{one} on {nic.outside.nic}"
        for nic in its
        if nic.outside and (one := nic.global6)
    }
    before, after = (
        hookdata.outside(one.text) if isinstance(one, File) else [] for one in (change.before, change.after)
    )
    gone = [f"- known outside as {line} (NDP proxy)" for line in before if line not in after]
    return gone + [f"+ known outside as {whole.get(line, line)} (NDP proxy)" for line in after if line not in before]


def _file_elements(side: object) -> set[tuple[str, str]]:
    return _elements(hookdata.elements(side.text).items()) if isinstance(side, File) else set()


def _elements(found: Iterable[tuple[str, tuple[str, ...]]]) -> set[tuple[str, str]]:
    return {(name, item) for name, items in found for item in items}


def _reservation(change: Change) -> str:
    before, after = (_reserved(side) for side in (change.before, change.after))
    if before and after and before[0] == after[0]:
        return f"~ reservation {before[0]}  {before[1]} -> {after[1]}"
    if before and after:
        return f"~ reservation {' '.join(before)} -> {' '.join(after)}"
    return f"+ reservation {'  '.join(after)}" if after else f"- reservation {'  '.join(before or ())}"


def _reserved(side: object) -> tuple[str, str] | None:
    if not isinstance(side, File):
        return None
    mac, *rest = side.text.strip().split(",")
    return mac, " ".join(part.strip("[]") for part in rest if "." in part or ":" in part)


def _guest_titles(plan: Plan) -> dict[str, str]:
    """By the name of their files. A guest that is not in the file any more is called after them."""
    running = {domain.name: domain.running for domain in plan.facts.domains}
    words = {None: "not defined yet", True: "running", False: "off"}
    names = [guest.name for guest in plan.world.guests]
    gone = {name: f"guest {name} ({words[value]})" for name, value in running.items()}
    return gone | {dhcp.file_name(name): f"guest {name} ({words[running.get(name)]})" for name in reversed(names)}


def _guest_title(path: str, titles: Mapping[str, str]) -> str:
    file = path.rsplit("/", 1)[-1]
    return titles.get(file, f"guest {file} (not defined yet)")


def _mode(name: str, desired: world.World) -> str:
    virtual = {network.name: (network.mode, network.bridge) for network in desired.networks}
    on_lan = {lan.name: (lan.mode, lan.place) for lan in desired.lans}
    found = {**virtual, **on_lan}.get(name)
    return f" ({found[0]}, {found[1]})" if found else ""


def _state(change: Change) -> str:
    return "new" if change.before is None else "removed" if change.after is None else "changed"


def _network_verb(change: Change) -> str:
    before, after = change.before, change.after
    if not isinstance(after, Network):
        return "removed"
    if not isinstance(before, Network):
        return "defined and started" if after.running else "defined"
    if before.running == after.running or (before.running and netlive.live(before.running, after.running)):
        return "changed"
    return "started" if before.running is None else "changed and restarted" if after.running else "stopped"


def _xml_diff(before: str, after: str) -> list[str]:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
    return [" ".join(line.split()) for line in lines if not line.startswith("@@")]
