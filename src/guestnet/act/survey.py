"""Looks at the file and the host and decides what would change. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources

from guestnet.act.remember import remember
from guestnet.compile import dhcp, hookprogram
from guestnet.decide import adopted, outside, routers, served, whereabouts
from guestnet.decide.admit import remembered as admitting
from guestnet.decide.desired import MEMORY, desired_state
from guestnet.decide.facts import Facts
from guestnet.decide.plan import Plan, make_plan
from guestnet.decide.prefer import wanted as prefer
from guestnet.decide.prefer.record import Record
from guestnet.decide.state import APPLIED, SOURCE, File, Key, State
from guestnet.host import files, listeners, preferences, solicit, whohas
from guestnet.host.chance import chance
from guestnet.host.facts import read_facts
from guestnet.host.libvirt import Libvirt
from guestnet.host.observe import normal_form, observe
from guestnet.spec.load import load_spec, spec_of
from guestnet.spec.memory import Memory
from guestnet.spec.models import Spec
from guestnet.spec.resolve import Macs, Taken, resolve
from guestnet.spec.show import applied as spelled_out
from guestnet.spec.world import World
from guestnet.words.problems import GuestnetError, ProblemsError

_MENDED = f"{MEMORY} is damaged or gone; it is told anew by libvirt, reservations, leases and what was applied last"
_PRIVATE = 0o600  # it may say what its own mode hides


@dataclass(frozen=True)
class Wish:
    """What the host shall become: the file's spec; or, without one, a host with nothing of guestnet on it. `source`:
    the file as it is written, to keep; None where nobody has it."""

    spec: Spec | None
    source: str | None = None
    admit: bool | None = None  # rules of ours in foreign chains that drop: yes, no more, or as it was said before
    hands: adopted.Hands = adopted.NOBODYS


@dataclass(frozen=True)
class Seen:
    """One look at the host: the plan, what of ours is there, and the memory to keep."""

    plan: Plan
    live: State
    memory: Memory
    preferred: Mapping[str, Record] = field(default_factory=dict)  # by guest: what was written in its gai.conf


def survey(wish: Wish, libvirt: Libvirt, memory: Memory | None = None) -> tuple[Plan, Memory]:
    """The plan, and the memory it was made with: give that back for the next look, so that what was drawn by chance is
    drawn once, also when it is not on disk yet."""
    seen = look(wish, libvirt, memory)
    return seen.plan, seen.memory


def look(wish: Wish, libvirt: Libvirt, memory: Memory | None = None) -> Seen:
    """As `survey`, with what is there."""
    libvirt.adopting = wish.hands.adopt
    remembered, mended = (memory, False) if memory is not None else remember(libvirt, wish.spec)
    facts = read_facts(libvirt, remembered)
    spec, leaving = wish.spec or Spec(), wish.spec is None
    hands = adopted.LEAVING if leaving else wish.hands
    facts = replace(facts, leaving=adopted.leaving(libvirt.networks()[0], spec.networks, hands))
    foreign = frozenset(network.bridge for network in facts.networks)
    mine = {network.bridge for network in remembered.networks.values()}
    subnets = [subnet for _, subnet in facts.subnets] + [route.subnet for route in facts.routes]
    subnets += [subnet for network in facts.networks for subnet in network.subnets]
    shared = outside.prefixes(facts), tuple(outside.uplinks(facts))
    taken = Taken(tuple(subnets), (facts.links - mine) | foreign, facts.own, *shared)
    macs = _macs(spec, facts)
    world, remembered = resolve(spec, remembered, random=chance(), taken=taken, macs=macs)
    remembered = admitting(remembered, facts, wish.admit)
    facts = replace(facts, neighbours=whohas.asked(facts.neighbours, whereabouts.to_ask(world, facts)))
    facts = replace(facts, programs=listeners.programs(served.sockets(world, facts)))
    before = remembered.sysctls  # also of those that this gives back, for the next look with this memory
    desired, remembered = desired_state(world, facts, remembered, hook_text(), let_in_text())
    if wish.spec is None:
        desired = {
            key: thing for key, thing in desired.items() if key.kind not in ("memory", "program", "hook", "unit")
        }
    else:
        desired = {**desired, Key("memory", APPLIED): File(spelled_out(spec, world))}
        if wish.source is not None:
            desired = {**desired, Key("memory", SOURCE): File(wish.source, _PRIVATE)}
    records = preferences.records()
    facts = replace(facts, ipv6_first=_written(records, facts))
    desired = normal_form(desired) | ({} if leaving else prefer.wanted(world, facts, records))
    live = observe(libvirt, desired) | prefer.there(facts, records, leaving=leaving)
    if wish.spec is not None and wish.source is None:
        live = {key: thing for key, thing in live.items() if key.name != SOURCE}
    desired, waiting = adopted.settle(desired, live, world, facts, hands)
    facts = replace(facts, answered=solicit.who_answers(outside.new(world, desired, live)))

    def spelled(other: Spec) -> str:
        return spelled_out(other, resolve(other, remembered, random=chance(), taken=taken, macs=macs)[0])

    mends = not leaving and _as_applied(wish.source or "", live, desired, spelled)
    plan = make_plan(world, facts, live, desired, _before(live, desired, remembered, world), mends=mends)
    said = ((_MENDED,) if mended else ()) + plan.notices + prefer.notes(world, facts, records, leaving=leaving)
    kept = {name for name, value in remembered.sysctls.items() if value != facts.settings.get(name)}
    kept -= {key.name for key in desired if key.kind == "setting"}
    stays = routers.notes(kept, facts, last=leaving)
    remembered = replace(remembered, sysctls={**before, **remembered.sysctls})
    return Seen(replace(plan, notices=(*said, *waiting, *stays)), live, remembered, records)


def _before(live: State, desired: State, memory: Memory, world: World) -> World | None:
    """What the file said when it was applied last: `world`, where it says the same; nothing, where no network of ours
    is; None where that is not known."""
    key = Key("memory", APPLIED)
    file = live.get(key)
    if file is not None and file == desired.get(key):
        return world
    spec = spec_of(file.text) if isinstance(file, File) else None
    if spec is None:
        return None if any(other.kind == "network" for other in live) else World((), ())
    # Everything in it is written: nothing is drawn.
    return resolve(spec, memory, random=chance(), taken=Taken(), macs={})[0]


def _as_applied(source: str, live: State, desired: State, spelled: Callable[[Spec], str]) -> bool:
    """Whether the file is the one that was applied last, by what was kept of that. Where a file says the same in other
    words, what was kept says it too; else somebody else has written there."""
    kept, applied = live.get(Key("memory", SOURCE)), live.get(Key("memory", APPLIED))
    same = applied == desired.get(Key("memory", APPLIED))
    if not isinstance(kept, File):
        return same if applied else Key("memory", MEMORY) in live
    if kept.text == source or not same or not isinstance(applied, File):
        return kept.text == source
    try:
        return spelled(load_spec(kept.text.encode(), SOURCE)) != applied.text
    except ProblemsError:
        return True


def _written(records: Mapping[str, Record], facts: Facts) -> frozenset[str]:
    """The guests that have our lines. Another domain of the name is another guest."""
    uuids = {domain.name: domain.uuid for domain in facts.domains}
    mine = [one for one in records.values() if uuids.get(one.guest) == one.uuid]
    return frozenset(one.guest for one in mine if one.done and one.begun)


def _macs(spec: Spec, facts: Facts) -> Macs:
    """By guest the (network, MAC) of its NICs as libvirt has them. A guest that libvirt does not have keeps the MAC of
    its reservation, so that a domain that was only renamed keeps its address and is known again; unless a guest of the
    file has that MAC by now."""
    found = {domain.name: tuple((nic.network, nic.mac) for nic in domain.nics) for domain in facts.domains}
    used = {mac for name in spec.guests for _, mac in found.get(name, ())}
    used |= {nic.mac for guest in spec.guests.values() for nic in guest.all_nics if nic.mac}
    for name, guest in spec.guests.items():
        if name not in found:
            reserved = [(nic.network, _reserved(nic.network, name)) for nic in guest.all_nics]
            found[name] = tuple((network, mac) for network, mac in reserved if mac and mac not in used)
    return found


def _reserved(network: str, guest: str) -> str | None:
    file = files.read(f"{dhcp.hosts_folder(network)}/{dhcp.file_name(guest)}")
    return dhcp.mac_of(file.text) if file else None


def hook_text() -> str:
    """The hook's program, that libvirt's hooks run."""
    return hookprogram.joined({name: _of_faces(f"hook/{name}.py") for name in hookprogram.PARTS})


def let_in_text() -> str:
    """What that starts for UDP clients."""
    return _of_faces("let_in.py")


def _of_faces(name: str) -> str:
    try:
        return resources.files("guestnet.faces").joinpath(name).read_text()
    except OSError as error:
        raise GuestnetError(f"the hook's program is missing: {error}", "install guestnet again") from error
