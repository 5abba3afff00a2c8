"""`guestnet prefer-ipv6`: one guest's gai.conf, written, asked after, and put back when that did not help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from guestnet.act.survey import Seen
from guestnet.decide.facts import Domain
from guestnet.decide.prefer.wanted import means
from guestnet.decide.select.gaiconf import Odd, parse
from guestnet.decide.state import Prefer
from guestnet.host import guestgai, preferences
from guestnet.host.agent import Agent
from guestnet.host.libvirt import Libvirt
from guestnet.host.uplink6 import uplink6_now
from guestnet.spec.world import Guest
from guestnet.words.families import IPV6
from guestnet.words.problems import GuestnetError

Address = IPv4Address | IPv6Address
Report = Callable[[str], None]
_BOTH = {4, 6}


@dataclass(frozen=True)
class Preferred:
    """What a fresh process in the guest got for `name`, before and after; gai_conf likewise. odd: lines of the guest's
    own that do not do what they seem to. windows: it is, and nothing was done."""

    libc: str
    version: str
    before: tuple[Address, ...] = ()
    after: tuple[Address, ...] = ()
    was: bytes | None = None
    now: bytes | None = None
    odd: tuple[Odd, ...] = ()
    prefixes: tuple[str, ...] = ()

    @property
    def windows(self) -> bool:
        return self.libc == "windows"


def prefer(libvirt: Libvirt, seen: Seen, guest: Guest, name: str, report: Report) -> Preferred:
    """Needs `changing`. Raises GuestnetError; then the guest's file is as it was, unless that says otherwise."""
    domain = _running(seen, guest.name)
    found = means(seen.plan.world, guest, seen.plan.facts)
    if not found.prefixes:
        raise GuestnetError(f"guest {guest.name}: {found.why}", found.todo)
    prefixes = tuple(map(str, found.prefixes))
    agent = Agent(libvirt.ask_agent, guest.name)
    report(f"asking the agent of {guest.name}")
    there = guestgai.look(agent)
    if there.libc == "windows":
        return Preferred("windows", there.version, prefixes=prefixes)
    wanted = Prefer(prefixes, domain.uuid, by_hand=not guest.prefer6)
    before: tuple[Address, ...] = ()
    if there.libc == "glibc" and not there.why_not:  # others are refused by `write`
        before = guestgai.answers(agent, name)
        _usable(guest, name, before)
    record = preferences.write(agent, there, wanted)
    after = _verified(agent, guest, name)
    odd = parse(record.before or b"").odd
    return Preferred(there.libc, there.version, before, after, there.content, record.wrote, odd, prefixes)


def _verified(agent: Agent, guest: Guest, name: str) -> tuple[Address, ...]:
    """What it gets now; the file is put back when IPv6 is not first."""
    try:
        after = guestgai.answers(agent, name)
    except GuestnetError as error:
        raise GuestnetError(f"{guestgai.PATH} is written, and not verified: {error.what}", error.todo) from error
    if after and after[0].version == IPV6:
        return after
    preferences.restore(agent, preferences.of(guest.name))
    got = ", ".join(map(str, after)) or "nothing"
    raise GuestnetError(
        f"guest {guest.name} gets {got} for {name} all the same, so its {guestgai.PATH} was put back",
        f"guestnet select {guest.name} {name} says by which rule",
    )


def _usable(guest: Guest, name: str, before: tuple[Address, ...]) -> None:
    """Refuses a name that shows nothing, and IPv6 that leads nowhere."""
    if {address.version for address in before} != _BOTH:
        got = ", ".join(map(str, before)) or "no address"
        todo = "name one that has both with --name; a guest without an IPv6 address of its own gets none of others"
        raise GuestnetError(f"guest {guest.name} gets {got} for {name}: not of both families", todo)
    uplink = uplink6_now(str(address) for address in before if address.version == IPV6)
    if not uplink.works:
        why = f"the host's IPv6 does not get out, and a guest that prefers it would wait in vain: {uplink.seen}"
        raise GuestnetError(why, uplink.todo)


def undo(libvirt: Libvirt, seen_domains: tuple[Domain, ...], name: str) -> bool:
    """Needs `changing`. False when nothing of ours was in the guest's file."""
    domain = next((one for one in seen_domains if one.name == name), None)
    record = preferences.of(name)
    if domain is None and record is not None:
        preferences.forget(record)
        return False
    able(domain, name)
    return preferences.restore(Agent(libvirt.ask_agent, name), record)


def _running(seen: Seen, name: str) -> Domain:
    return able(next((one for one in seen.plan.facts.domains if one.name == name), None), name)


def able(domain: Domain | None, name: str) -> Domain:
    """A domain that can be asked. Raises GuestnetError."""
    by_hand = f"or do it in the guest by hand: guestnet prefer-ipv6 {name} --print shell"
    if domain is None:
        raise GuestnetError(f"guest {name} is not defined in libvirt", f"define it; {by_hand}")
    if not domain.running:
        raise GuestnetError(f"guest {name} is off", f"start it: virsh start {name}; {by_hand}")
    if not domain.agent:
        what = "install qemu-guest-agent in it, and give its domain the channel org.qemu.guest_agent.0"
        raise GuestnetError(f"guest {name} has no guest agent that is connected", f"{what}; {by_hand}")
    return domain
