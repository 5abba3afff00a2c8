"""What a plan says to a person: per network, guest and host, one line a change. Pure; who prints it adds the looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from guestnet.compile import dhcp, translation
from guestnet.compile.hookdata import FOLDER
from guestnet.decide import admit
from guestnet.decide.describeguest import element_pairs, forward_changes, guest_title, guest_titles, reservation
from guestnet.decide.describenet import network_lines, network_verb
from guestnet.decide.desired import MEMORY
from guestnet.decide.facts import Facts
from guestnet.decide.forwardtext import forward_lines
from guestnet.decide.plan import FOR_GOOD, Plan, cut_off, outage
from guestnet.decide.prefer import wanted as prefer
from guestnet.decide.state import APPLIED, SOURCE, Bridge, Change, Key, Setting, Table, Unit
from guestnet.spec import world
from guestnet.words.addresses import is_private

_FAMILY = {4: "IPv4", 6: "IPv6"}
_KEPT = {
    MEMORY: "what is remembered of this host",
    APPLIED: "what was applied last",
    SOURCE: "the file that was applied last",
}


_NAMED = 10  # so many files that the hooks read are named; more are a version's, or a folder's, and are counted


@dataclass
class Item:
    """One thing of the person's that changes: `network lab (nat, virbr1)`, new, changed or removed, and its lines.

    A line begins with +, ~ or -; `impact` says whom it disturbs.
    """

    title: str
    state: str = ""
    lines: list[tuple[str, str]] = field(default_factory=list)  # (line, impact)


def describe(plan: Plan) -> list[Item]:
    """Networks, then guests, then the host. What follows from the file in folders and files of ours is left out; where
    the file is as it was applied, it is told: somebody else has changed it."""
    items: dict[tuple[int, str], Item] = {}
    titles = guest_titles(plan)
    hookdata = [change for change in plan.changes if change.key.kind == "hookdata"]
    forwards = {change.key: its for change in hookdata if (its := forward_changes(change, plan.world))}
    read = [change for change in hookdata if change.key not in forwards] if plan.mends else []
    many = frozenset(change.key for change in read) if len(read) > _NAMED else frozenset()
    for change in plan.changes:
        if change.key in many:
            continue
        rank, title, lines = _one(change, plan, titles, forwards)
        if lines:
            item = items.setdefault((rank, title), Item(title))
            item.lines += lines
            if change.key.kind == "network":
                item.state = _state(change)
    if many:
        items.setdefault((2, "host"), Item("host")).lines += _counted(read)
    return [items[key] for key in sorted(items)]


def notes(plan: Plan) -> list[str]:
    """Its notices, each without what the lines of the same network say already."""
    told = [
        (f"network {change.key.name}: ", {line for line, _ in network_lines(change, plan)})
        for change in plan.changes
        if change.key.kind == "network"
    ]
    found = []
    for note in plan.notices:
        said = {line for start, lines in told if note.startswith(start) for line in lines}
        found.append("\n".join(line for line in note.split("\n") if f"~ {line}" not in said))
    return found


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
        "network": f"network {name} {network_verb(change)}",
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
    lost = {name for one in plan.changes if outage(one, plan.facts) == FOR_GOOD for name in cut_off(one, plan.facts)}
    hit = {name for change in plan.changes for name in cut_off(change, plan.facts)} - lost
    said = [f"cuts off for good: {', '.join(sorted(lost))}"] if lost else []
    said += [f"disturbs {', '.join(sorted(hit))}"] if hit else []
    count = sum(len(item.lines) for item in describe(plan))
    many = f"{count} change{'s' if count != 1 else ''}" if count else "files of guestnet's own are written anew"
    return f"{many}, {'; '.join(said) or 'no guest loses its network'}."


_Part = tuple[int, str, list[tuple[str, str]]]  # rank on the page, title, (line, impact)


def _one(change: Change, plan: Plan, titles: Mapping[str, str], forwards: Mapping[Key, list[str]]) -> _Part:
    """Where on the page a change belongs, and its lines; no lines for what nobody needs to read about. `forwards`: what
    files of guests say of theirs."""
    kind, name = change.key
    if kind == "network":
        return 0, f"network {name}{_mode(name, plan.world)}", network_lines(change, plan)
    if kind == "reservation":
        return 1, guest_title(name, titles), [(reservation(change), "live")]
    if change.key in forwards:
        return 1, guest_title(name, titles), [(line, "live") for line in forwards[change.key]]
    if kind == "prefer":
        line = prefer.line(change, plan.world, plan.facts)
        return (
            1,
            guest_title(dhcp.file_name(name), titles),
            [(line, "by its agent; for programs started from then on")],
        )
    silent = kind in ("memory", "hookdata") or (kind == "folder" and change.before is None)
    return 2, "host", [] if silent and not plan.mends else _host_lines(change, plan.facts, alone=not forwards)


def _host_lines(change: Change, facts: Facts, *, alone: bool) -> list[tuple[str, str]]:
    """`alone`: no guest's own lines say which forwards change."""
    kind, name = change.key
    sign = _sign(change)
    if kind == "setting":
        value = change.after.value if isinstance(change.after, Setting) else ""
        was = change.before.value if isinstance(change.before, Setting) else "?"
        why = ", so that the host keeps its own IPv6 when forwarding goes on" if name.endswith("accept_ra") else ""
        return [(f"~ {_dotted(name)} {was} -> {value}{why if value == '2' else ''}", "live")]
    if kind == "table" and isinstance(change.before, Table) and isinstance(change.after, Table):
        lines = [("~ firewall table inet guestnet", "live")] if change.before.listing != change.after.listing else []
        if not lines and change.before.prefixes != change.after.prefixes:
            lines = [(f"~ prefix NAT: {_prefixes(change.before)} -> {_prefixes(change.after)}", "live")]
        gone, come = element_pairs(change.before.elements), element_pairs(change.after.elements)
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
        "hookdata": f"{name}, which the hooks read",
        "memory": f"{name}, {_KEPT.get(name, 'of a guest that is not known')}",
        "localnet": f"{_dotted(name)} = 1, so that guests serve the host's 127.0.0.1",
        "proxy": f"{name}.socket, which serves [::1]:{name.rsplit('-', 1)[-1]}",
    }
    return [(f"{sign} {words.get(kind, name)}", _from_when(change, facts))]


def _counted(changes: Iterable[Change]) -> list[tuple[str, str]]:
    """Of files that the hooks read how many come, change and go. A new version may change one for each guest."""
    signs = Counter(_sign(change) for change in changes)
    return [
        (f"{sign} {signs[sign]} file{'s' if signs[sign] > 1 else ''} in {FOLDER}, which the hooks read", "live")
        for sign in "+~-"
        if signs[sign]
    ]


def _sign(change: Change) -> str:
    return "+" if change.before is None else "-" if change.after is None else "~"


def _from_when(change: Change, facts: Facts) -> str:
    """libvirt looks for hooks only when it starts: see the note."""
    if change.key.kind == "sysctl.d":
        return "for the next boot"
    waits = change.key.kind in ("hook", "program") and change.before is None and not facts.hooks_loaded
    return "from libvirt's next start on" if waits else "live"


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


def _mode(name: str, desired: world.World) -> str:
    virtual = {network.name: (network.mode, network.bridge) for network in desired.networks}
    on_lan = {lan.name: (lan.mode, lan.place) for lan in desired.lans}
    found = {**virtual, **on_lan}.get(name)
    return f" ({found[0]}, {found[1]})" if found else ""


def _state(change: Change) -> str:
    return "new" if change.before is None else "removed" if change.after is None else "changed"
