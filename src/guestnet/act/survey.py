"""Looks at the file and the host and decides what would change. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from guestnet.decide.desired import MEMORY, desired_state
from guestnet.decide.plan import Plan, make_plan
from guestnet.decide.state import File, Key, State
from guestnet.host import files
from guestnet.host.chance import chance
from guestnet.host.facts import read_facts
from guestnet.host.libvirt import Libvirt
from guestnet.host.observe import normal_form, observe
from guestnet.spec.memory import Memory, from_text
from guestnet.spec.models import Spec
from guestnet.spec.resolve import Taken, resolve
from guestnet.words.problems import GuestnetError


@dataclass(frozen=True)
class Wish:
    """What the host shall become: the file's spec; or, without one, a host with nothing of guestnet on it."""

    spec: Spec | None


@dataclass(frozen=True)
class Seen:
    """One look at the host: the plan, what of ours is there, and the memory to keep."""

    plan: Plan
    live: State
    memory: Memory


def survey(wish: Wish, libvirt: Libvirt, memory: Memory | None = None) -> tuple[Plan, Memory]:
    """The plan, and the memory it was made with: give that back for the next look, so that what was drawn by chance is
    drawn once, also when it is not on disk yet."""
    seen = look(wish, libvirt, memory)
    return seen.plan, seen.memory


def look(wish: Wish, libvirt: Libvirt, memory: Memory | None = None) -> Seen:
    """As `survey`, with what is there."""
    remembered = memory or read_memory()
    facts = read_facts(libvirt, remembered)
    foreign = frozenset(network.bridge for network in facts.networks)
    mine = {network.bridge for network in remembered.networks.values()}
    taken = Taken(tuple(subnet for _, subnet in facts.subnets), (facts.bridges - mine) | foreign)
    macs = {domain.name: tuple((nic.network, nic.mac) for nic in domain.nics) for domain in facts.domains}
    world, remembered = resolve(wish.spec or Spec(), remembered, random=chance(), taken=taken, macs=macs)
    desired, remembered = desired_state(world, facts, remembered, hook_text())
    if wish.spec is None:
        desired = {key: thing for key, thing in desired.items() if key != Key("memory", MEMORY)}
    desired = normal_form(desired)
    live = observe(libvirt, desired)
    return Seen(make_plan(world, facts, live, desired), live, remembered)


def read_memory() -> Memory:
    """What was remembered on this host; empty at first."""
    file = files.read(MEMORY)
    return from_text(file.text, MEMORY) if isinstance(file, File) else Memory()


def hook_text() -> str:
    """The hook's program, as it is written into libvirt's hook folders."""
    try:
        return resources.files("guestnet.faces").joinpath("hook.py").read_text()
    except OSError as error:
        raise GuestnetError(f"the hook's program is missing: {error}", "install guestnet again") from error
