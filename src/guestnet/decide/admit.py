"""Which chains of others need rules of ours, and which of them somebody must first agree to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from guestnet.compile import admit, nft
from guestnet.compile.admit import Place
from guestnet.decide.facts import Chain, Facts
from guestnet.decide.state import Admit, Change, Key, State
from guestnet.spec.memory import Memory
from guestnet.spec.world import World

_HOOKS = ("forward", "input", "output")
_FAMILIES = ("ip", "ip6", "inet")
_ENDS = {
    "forward": "forwards to guests, and guests' way out",
    "input": "guests' DHCP and DNS",
    "output": "answers to guests' DHCP and DNS",
}
_BUILT_IN = tuple(hook.upper() for hook in _HOOKS)


def place(chain: Chain) -> Place:
    return Place(chain.family, chain.table, chain.name)


def filters(chains: Iterable[Chain]) -> Iterator[Chain]:
    """Chains of others in which a packet of ours may end, and a rule of ours may stand.

    Not those of iptables, which have a rule of their own (see `ruleset.admit_rule`). Not firewalld's: it accepts what
    is translated, its zones say what else, and it drops all when it was told to (panic mode) or while it reloads.
    """
    for chain in chains:
        iptables = chain.family in ("ip", "ip6") and chain.name in _BUILT_IN
        others = f"{chain.family} {chain.table}" != nft.FAMILY_TABLE and not chain.table.startswith("firewalld")
        filters = chain.type == "filter" and chain.hook in _HOOKS and chain.family in _FAMILIES
        if filters and others and not iptables and place(chain).sound:
            yield chain


def dropping(facts: Facts) -> tuple[Chain, ...]:
    """Of these, those that drop what none of their rules accepts. Rules are not read: one that drops everything at the
    end of a chain is not seen here; `guestnet why` finds it."""
    return tuple(chain for chain in filters(facts.chains) if chain.policy == "drop")


def remembered(memory: Memory, facts: Facts, wanted: bool | None) -> Memory:
    """With what was said now: --admit adds the chains that drop, --no-admit forgets all."""
    if wanted is None:
        return memory
    now = {place(chain).name: chain.hook for chain in dropping(facts)}
    return replace(memory, admitted={**memory.admitted, **now} if wanted else {})


def admits(world: World, facts: Facts, memory: Memory) -> dict[Key, Admit]:
    """The rules to have in chains that are there."""
    closed = shut(facts)
    found = {
        Key("admit", program): Admit(admit.ways_out(program, world) if program in closed else ())
        for program in admit.PROGRAMS
    }
    for chain in filters(facts.chains):
        where = place(chain)
        if where in admit.LIBVIRT:
            found[Key("admit", where.name)] = Admit((admit.translated(),))
        elif chain.policy == "drop" and where.name in memory.admitted:
            found[Key("admit", where.name)] = Admit(admit.rules(chain.family, chain.hook, world))
    return found


def shut(facts: Facts) -> tuple[str, ...]:
    """Of iptables and ip6tables those whose FORWARD lets no guest out: it drops by policy, and libvirt's nftables
    backend, which is told by its table, puts nothing there. Its iptables backend does, so nobody is asked."""
    backend = any(place(chain) in admit.LIBVIRT for chain in facts.chains)
    dropped = [program for program, chain in facts.others.policies if chain == "FORWARD"]
    return tuple(program for program in admit.PROGRAMS if backend and program in dropped)


def hook_file(world: World, memory: Memory) -> str:
    """The same, for chains that are not there now, too, and for a FORWARD that does not drop now."""
    found: dict[str, tuple[str, ...]] = {where.name: (admit.translated(),) for where in admit.LIBVIRT}
    found |= {program: admit.ways_out(program, world) for program in admit.PROGRAMS}
    for name, hook in memory.admitted.items():
        where = admit.place(name)
        if where is not None and hook in _HOOKS:
            found[where.name] = admit.rules(where.family, hook, world)
    return admit.hook_file(found)


def notes(world: World, facts: Facts, desired: State) -> Iterator[str]:
    """Of each chain that drops guests' packets and is not admitted in: which, and the exact commands."""
    if not world.networks:
        return
    for chain in dropping(facts):
        where = place(chain)
        if where in admit.LIBVIRT or Key("admit", where.name) in desired:
            continue
        rules = admit.rules(chain.family, chain.hook, world)
        said = (
            f"chain {chain.name} of table {chain.family} {chain.table} (hook {chain.hook}, priority {chain.priority}) "
            f"drops what none of its rules accepts: {_ENDS[chain.hook]}, unless they do. guestnet apply --admit puts "
            "rules of ours on top, and again after it was loaded anew; by hand:"
        )
        yield "\n".join([said, *(f"nft '{command}'" for command in admit.commands(where, rules))])


def title(change: Change) -> str:
    """What there is to say of rules of ours in a chain of others."""
    name, shown = change.key.name, change.after or change.before
    rules = shown.rules if isinstance(shown, Admit) else ()
    above = ", on top again" if isinstance(change.before, Admit) and not change.before.top else ""
    many = len(rules) + (name in admit.PROGRAMS) > 1
    return f"admit rule{'s' if many else ''} in {f'{name} FORWARD' if name in admit.PROGRAMS else name}{above}"


def reason(change: Change) -> str:
    """Why there are more in iptables' FORWARD than the one that admits forwards; or no more."""
    if change.key.name not in admit.PROGRAMS:
        return ""
    before, after = (thing.rules if isinstance(thing, Admit) else () for thing in (change.before, change.after))
    if before == after or (not after and change.after is None):
        return ""
    if not after:
        return "; guests' way out needs no more of them"
    return "; it drops by policy, and libvirt's nftables backend lets no guest out there"
