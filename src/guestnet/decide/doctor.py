"""What may be wrong on a host, one check after the other, each with what was seen. Pure.

It is made from a plan, so it says what `plan` and `apply` know, in the order of who is to blame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from guestnet.compile.admit import LIBVIRT
from guestnet.decide import admit, legacy, notices, oldhook, prefixes, uplink6
from guestnet.decide.describe import describe, step
from guestnet.decide.facts import Facts, Router6
from guestnet.decide.plan import Plan
from guestnet.decide.state import Change
from guestnet.decide.uplink6 import Uplink6
from guestnet.words.addresses import is_private
from guestnet.words.families import IPV4

Verdict = Literal["fine", "look", "wrong"]
_ZONES = ("libvirt", "libvirt-routed", "trusted")  # of firewalld: those that let guests out, and to DHCP and DNS
_SEVERAL = 2
_RESTART = "restart libvirtd, which makes them anew (running guests keep running): systemctl restart libvirtd"


@dataclass(frozen=True)
class Check:
    """verdict: fine, look (know it; nothing is broken), wrong. `mends`: apply, and so `doctor --fix`, mends it."""

    name: str
    evidence: str
    verdict: Verdict = "fine"
    todo: str = ""
    mends: bool = False


def checks(plan: Plan, uplink: Uplink6 | None = None) -> tuple[Check, ...]:
    """uplink: whether the host's IPv6 uplink works, where it was asked."""
    found = [
        *_libvirt(plan),
        *_hooks(plan),
        *_old_hooks(plan),
        *_iptables(plan),
        *_way_out(plan),
        *_legacy(plan),
        *_firewalld(plan),
        *_chains(plan),
        *_bridge_filter(plan),
        *_settings(plan),
        *_paths(plan.facts),
        *_uplink6(plan, uplink),
        *_own_macs(plan),
        *_drift(plan),
    ]
    return tuple(found)


def _libvirt(plan: Plan) -> Iterator[Check]:
    facts = plan.facts
    mine = [chain for chain in facts.chains if admit.place(chain) in LIBVIRT]
    if not facts.libvirt_rules:
        yield Check("libvirt's rules", "its chains are gone, though a network runs (flushed?)", "wrong", _RESTART)
    elif facts.libvirt_lacks:
        yield Check("libvirt's rules", f"gone from {facts.libvirt_lacks} (flushed?)", "wrong", _RESTART)
    elif mine:
        yield Check("libvirt's rules", f"nftables backend: table {', '.join(f'{c.family} {c.table}' for c in mine)}")
    else:
        seen = f"iptables backend: {facts.others.libvirt}" if facts.others.libvirt else "none, and none are needed yet"
        yield Check("libvirt's rules", seen)


def _hooks(plan: Plan) -> Iterator[Check]:
    missing = [*_of("program", plan), *_of("hook", plan)]
    if missing:
        what = "; ".join(step(change) for change in missing)
        yield Check("hooks", f"not as they should be: {what}", "wrong", "guestnet apply", mends=True)
    elif plan.world.networks and not plan.facts.hooks_loaded:
        todo = "restart it once (running guests keep running): systemctl restart libvirtd"
        yield Check("hooks", "there, but libvirt started before and has not seen them", "wrong", todo)
    else:
        yield Check("hooks", "there, and libvirt calls them" if plan.facts.hooks_loaded else "none is needed")


def _old_hooks(plan: Plan) -> Iterator[Check]:
    wrong = {problem.what.split(" ")[0]: problem for problem in oldhook.problems(plan.world, plan.facts)}
    for hook in plan.facts.others.hooks:
        both = wrong.get(hook.path)
        if both:
            yield Check("another hook", both.what, "wrong", both.todo)
        else:
            yield Check("another hook", oldhook.unknown(hook), "look", oldhook.todo(hook, ()))
    left = plan.facts.others.leftovers
    if left:
        todo = "\n".join(["remove them when that hook is retired:", *left])
        yield Check("another hook's rules", f"{len(left)} rules and chains of libvirt-hook-qemu", "wrong", todo)


def _iptables(plan: Plan) -> Iterator[Check]:
    """docker and ufw live in iptables, where our rule on top of FORWARD is all that forwards need."""
    others = plan.facts.others
    pending = [change for change in _of("admit", plan) if change.key.name in ("iptables", "ip6tables")]
    drops = [program for program, chain in others.policies if chain == "FORWARD"]
    policy = f"; FORWARD drops by default in {', '.join(drops)}" if drops else ""
    for name, seen in (("docker", others.docker), ("ufw", others.ufw)):
        if seen and pending:
            said = f"{seen}{policy}; our rule is not on top of FORWARD in {', '.join(c.key.name for c in pending)}"
            yield Check(name, said, "wrong", "guestnet apply", mends=True)
        elif seen:
            yield Check(name, f"{seen}{policy}; our rule is on top" if plan.world.networks else f"{seen}{policy}")
    # libvirt's iptables backend opens DHCP and DNS in INPUT itself, its nftables backend does not (11.3).
    inputs = [program for program, chain in others.policies if chain == "INPUT"]
    backend = any(admit.place(chain) in LIBVIRT for chain in plan.facts.chains)
    if inputs and backend and plan.world.networks:
        bridges = [network.bridge for network in plan.world.networks]
        seen = f"INPUT drops by default in {', '.join(inputs)}, and libvirt's nftables backend opens nothing there"
        commands = [line for bridge in bridges for line in _open(bridge, inputs, others.ufw)]
        todo = "\n".join(["unless it is open already:", *commands])
        yield Check("guests' DHCP and DNS", seen, "look", todo)


def _way_out(plan: Plan) -> Iterator[Check]:
    """Also where nobody else is known to have closed FORWARD."""
    closed = admit.shut(plan.facts) if plan.world.networks else ()
    pending = [change.key.name for change in _of("admit", plan) if change.key.name in closed]
    if closed:
        seen = f"FORWARD drops by default in {', '.join(closed)}, and libvirt's nftables backend admits nobody there"
        if pending:
            said = f"{seen}; our rules are not on top in {', '.join(pending)}"
            yield Check("guests' way out", said, "wrong", "guestnet apply", mends=True)
        else:
            yield Check("guests' way out", f"{seen}; our rules do")


def _open(bridge: str, programs: list[str], ufw: str) -> list[str]:
    """The commands that let guests' DHCP and DNS in. ufw lets neighbour discovery in by itself."""
    if ufw:
        ports = ("53", "67 proto udp", "547 proto udp")
        return [f"ufw allow in on {bridge} to any port {port}" for port in ports]
    found = []
    for program in programs:
        dhcp, icmp = ("547", [" -p ipv6-icmp"]) if program == "ip6tables" else ("67", [])
        for match in (f" -p udp -m multiport --dports 53,{dhcp}", " -p tcp --dport 53", *icmp):
            found.append(f"{program} -I INPUT -i {bridge}{match} -j ACCEPT")
    return found


def _legacy(plan: Plan) -> Iterator[Check]:
    for one in plan.facts.others.legacy:
        seen = legacy.stops(one, plan.world)
        if seen:
            verdict: Verdict = "wrong" if legacy.closed(one, plan.world) else "look"
            yield Check(one.program, seen, verdict, legacy.todo(one, plan.world))


def _firewalld(plan: Plan) -> Iterator[Check]:
    others = plan.facts.others
    if others.panic:
        yield Check("firewalld's panic mode", "everything is dropped", "wrong", "firewall-cmd --panic-off")
    if not others.firewalld:
        return
    if others.zones is None:
        todo = "see: firewall-cmd --get-active-zones"
        yield Check("firewalld", f"{others.firewalld}; it does not say which zones there are", "look", todo)
        return
    for network in plan.world.networks:
        zone = dict(others.zones).get(network.bridge)
        seen = f"{others.firewalld}; {network.bridge} is in {f'zone {zone}' if zone else 'no zone'}"
        if zone in _ZONES:
            yield Check("firewalld", seen)
        else:
            todo = notices.mend_zone(network.bridge, network.mode, zone)
            yield Check("firewalld", seen, "look" if zone else "wrong", todo)


def _chains(plan: Plan) -> Iterator[Check]:
    pending = {change.key.name for change in _of("admit", plan)}
    for chain in admit.dropping(plan.facts):
        name = admit.place(chain).name
        seen = f"chain {name} (hook {chain.hook}, priority {chain.priority}) has policy drop"
        if any(note.startswith(f"chain {chain.name} of table {chain.family} {chain.table} ") for note in plan.notices):
            yield Check("a chain that drops", f"{seen}, and no rule of ours", "wrong", "guestnet apply --admit")
        elif name in pending:
            yield Check(
                "a chain that drops", f"{seen}; our rules in it are gone", "wrong", "guestnet apply", mends=True
            )
        elif plan.world.networks:
            yield Check("a chain that drops", f"{seen}; ours are on top")


def _bridge_filter(plan: Plan) -> Iterator[Check]:
    for program in plan.facts.bridge_filter:
        seen = f"br_netfilter is on, and {program}'s FORWARD drops by default, also within a bridge"
        lans = [lan.bridge for lan in plan.world.lans if lan.bridge]
        todo = "; ".join(f"{program} -I FORWARD -i {bridge} -o {bridge} -j ACCEPT" for bridge in lans)
        yield Check("br_netfilter", seen, "wrong" if lans else "look", todo or "libvirt's own bridges are exempt")


def _settings(plan: Plan) -> Iterator[Check]:
    for change in _of("setting", plan):
        name = change.key.name.replace("/", ".")
        was = getattr(change.before, "value", "?")
        seen = f"{name} is {was}, not {getattr(change.after, 'value', 'as before')}"
        about = "accept_ra" if name.endswith("accept_ra") else "forwarding" if "forward" in name else "sysctl"
        yield Check(about, seen, "wrong", "guestnet apply", mends=True)


def _paths(facts: Facts) -> Iterator[Check]:
    """With one uplink the way back is the way in. With several, a strict filter drops what came in by another."""
    several = [uplink.nic for uplink in facts.uplinks if IPV4 in uplink.families]
    strict = [nic for nic in facts.strict if nic in several]
    if strict and len(several) >= _SEVERAL:
        keys = "; ".join(f"sysctl net.ipv4.conf.{nic}.rp_filter=2" for nic in strict)
        seen = f"rp_filter is 1 (strict) on {', '.join(strict)}, and there are {len(several)} uplinks"
        yield Check("rp_filter", f"{seen}: forwards through the one without the best route get no packet", "look", keys)


def _uplink6(plan: Plan, asked: Uplink6 | None) -> Iterator[Check]:
    """The host's own IPv6, and what guests can have of it."""
    facts = plan.facts
    state = asked or uplink6.lacking(facts)
    at = [prefixes.place(one) for one in uplink6.global_ones(facts) if not one.temporary]
    by = [f"router {_router(router)}" for router in facts.routers6]
    seen = "; ".join([*at, *by, *([state.seen] if state else [])])
    if state is None or state.works:
        yield Check("IPv6 uplink", seen)
    else:
        needed = any(network.v6 and network.mode != "isolated" for network in plan.world.networks)
        dead = bool(facts.routers6) and needed
        yield Check("IPv6 uplink", seen, "wrong" if dead else "look", state.todo)
    for kind in prefixes.kinds(facts):
        yield Check(f"IPv6 for guests: {kind.name}", kind.seen, "fine" if kind.can else "look", kind.todo)


def _router(router: Router6) -> str:
    if not router.advertised:
        return f"{uplink6.text(router)} (static)"
    left = "" if router.lifetime is None else f", for {prefixes.age(router.lifetime)} more"
    return f"{uplink6.text(router)} (router advertisement{left})"


def _own_macs(plan: Plan) -> Iterator[Check]:
    """Guests with MACs of their own on a link where a provider may allow one only: the host is on the internet itself,
    with no router of its own before it."""
    facts = plan.facts
    public = {link for link, one in facts.addresses if one.version == IPV4 and not is_private(one.ip)}
    uplinks = {uplink.nic for uplink in facts.uplinks} & public
    for lan in plan.world.lans:
        ports = {nic.name for nic in facts.nics if lan.bridge and nic.master == lan.bridge}
        if uplinks & {lan.interface, lan.bridge, *ports}:
            seen = f"network {lan.name} puts guests' own MACs on the uplink, which has a public address"
            todo = (
                "ask the provider first: many drop, or block a port for, MACs that they have not given out; modes nat "
                "and routed, and the NDP proxy, show the host's only"
            )
            yield Check("guests' own MACs", seen, "look", todo)


_TOLD = ("program", "hook", "setting")


def _drift(plan: Plan) -> Iterator[Check]:
    lines = [f"{item.title}: {line}" for item in describe(plan) for line, _ in item.lines]
    told = all(change.key.kind in _TOLD for change in plan.changes)
    if lines and not told:
        yield Check("drift", "\n".join(["the host is not as the file says:", *lines]), "wrong", "guestnet apply", True)
    for problem in plan.problems:
        if "forwards ports for" not in problem.what:
            yield Check("problem", problem.what, "wrong", problem.todo)


def _of(kind: str, plan: Plan) -> list[Change]:
    return [change for change in plan.changes if change.key.kind == kind]
