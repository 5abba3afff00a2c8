"""The matrix as it is: real packets between short-lived ends in each network, the host, and a machine outside.

Guests are not touched: each network gets two ends of its own, with addresses that nobody has. To see that forwards work
for everybody, each closed network gets one more for the time of the measurement, to an end of ours. All of it goes when
this is done, or interrupted, or killed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from guestnet.act import lanends
from guestnet.act.ends import Known, Stage, free, known_outside, load, own, plug
from guestnet.act.questions import Question, questions, unasked
from guestnet.compile import nft
from guestnet.decide import lan as rules
from guestnet.decide.facts import Facts
from guestnet.decide.judge import Heard, elsewhere, judge
from guestnet.decide.reach import FAMILIES, INTERNET, Cell, Key, Measured
from guestnet.decide.upstream import Far, allowed, reached
from guestnet.host import lock, probe
from guestnet.spec.world import Network, World
from guestnet.words.families import IPV6

PORTS = range(61000, 65000)  # where a forward for a measurement is made
PATIENCE, MORE_PATIENCE = 1.0, 3.0  # seconds to wait for an answer

Report = Callable[[str], None]


@dataclass(frozen=True)
class Host:
    """What there is to measure. running: the networks that are on; far: whom to reach outside, by family; chosen: those
    of them that were named, and are not the host's own gateway."""

    world: World
    facts: Facts
    running: frozenset[str]
    far: Far
    chosen: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class How:
    """lan: ends on the LAN too. elsewhere: who asks from the internet's side, for ssh; "": a link of our own."""

    lan: bool = False
    elsewhere: str = ""
    forwards: bool = True  # one more into each closed network


def measure(host: Host, cells: tuple[Cell, ...], report: Report, how: How = How()) -> tuple[Measured, ...]:
    """What each cell is; with two ends in each network, in a few seconds. Needs root."""
    with stage(host, how, report) as ends:
        heard = _hear([question for cell in cells for question in questions(cell, ends, PATIENCE)], report)
        found = [_judge(cell, heard, ends, host) for cell in cells]
        wrong = [one.cell for one in found if one.right is False]
        if wrong:
            # On a busy host an answer may be late, and nobody is to follow that.
            again = [question for cell in wrong for question in questions(cell, ends, MORE_PATIENCE)]
            heard |= _hear(again, report, f" for what is not as predicted ({len(wrong)}), with more patience")
        return tuple(_judge(cell, heard, ends, host) for cell in cells)


def _hear(asked: list[Question], report: Report, what: str = "") -> dict[Key, list[Heard]]:
    report(f"{len(asked)} probes{what}")
    heard: dict[Key, list[Heard]] = {}
    for question, answer in zip(asked, _ask(asked), strict=True):
        order = question.order
        one = Heard(question.way, order["protocol"], order["to"], answer["outcome"], answer["by"], answer["text"])
        heard.setdefault(question.cell, []).append(one)
    return heard


def _judge(cell: Cell, heard: Mapping[Key, list[Heard]], stage: Stage, host: Host) -> Measured:
    its, why = heard.get(cell.key, []), unasked(cell, stage)
    if cell.source == INTERNET:
        if stage.elsewhere and its:
            its, why = elsewhere(cell, its, stage.elsewhere)
        found = judge(cell, its, why)
        return replace(found, simulated=bool(its) and not stage.elsewhere, elsewhere=stage.elsewhere)
    if cell.target != INTERNET or cell.verdict != "lan":
        return judge(cell, its, why)
    if its:
        return judge(cell, its, why, promise="yes")  # it has an address, and a router
    network = next((one for one in host.world.lans if one.name == cell.source.name and one.name in stage.guests), None)
    dropped = rules.filtered(network, host.facts, cell.family) if network else ""
    # What its policy is does not tell what rules before it accept, and a neighbour does.
    near = heard.get((cell.source, cell.source, cell.family), [])
    if dropped and not any(one.outcome == "answered" for one in near):
        return Measured(cell, "no", f"{why}; {dropped}", promise="yes")
    return judge(cell, its, why)


def _ask(asked: list[Question]) -> list[dict[str, Any]]:
    """An answer for each, all at once: whoever is asked answers, though it asks itself."""
    askers = {id(question.asker): question.asker for question in asked}
    its = {name: [i for i, question in enumerate(asked) if id(question.asker) == name] for name in askers}
    with ThreadPoolExecutor(max_workers=max(1, len(askers))) as pool:
        told = {name: pool.submit(asker.ask, [asked[i].order for i in its[name]]) for name, asker in askers.items()}
    answers = {i: answer for name, future in told.items() for i, answer in zip(its[name], future.result(), strict=True)}
    return [answers[i] for i in range(len(asked))]


@contextlib.contextmanager
def stage(host: Host, how: How, report: Report) -> Iterator[Stage]:
    world, facts = host.world, host.facts
    networks = [network for network in world.networks if network.name in host.running]
    lans = [lan for lan in world.lans if lan.name in host.running]
    with lock.probe_lock(), contextlib.ExitStack() as todo:
        here = probe.here()
        todo.callback(here.close)
        if how.elsewhere:
            report(f"starting a probe on {how.elsewhere}")
        outside = probe.elsewhere(how.elsewhere) if how.elsewhere else probe.outside("gnprobe0")
        todo.callback(outside.close)
        stage = Stage(here, outside, gates=_gates(facts, how), elsewhere=how.elsewhere, uplinks=_uplinks(networks))
        stage.unreached = frozenset(family for family in FAMILIES if not reached(facts, family))
        if not how.lan:
            stage.without = {lan.name: rules.left_out(lan) for lan in lans}
            lans = []
        if networks or lans:
            names = [network.name for network in networks] + [lan.name for lan in lans]
            report(f"plugging two ends each into {', '.join(names)}")
        for i, network in enumerate(networks):
            stage.guests[network.name] = plug(network, f"gnprobe{i + 1}", free(network, world, facts, here), todo)
            known_outside(network, stage, todo)
            host_there = {family: address for family in FAMILIES if (address := own(network, family))}
            stage.known[network.name] = Known(host_there, allowed(host.far, network, host.chosen))
        lans = lanends.plug(lans, facts, stage, todo)
        bridges = [network.bridge for network in networks]
        _learning([*bridges, *(lan.bridge for lan in lans if lan.bridge)], report)
        if lans:
            report("asking the LAN for addresses; that takes 9 s where nobody answers")
            lanends.settle(lans, facts, host.chosen, stage)
        probe.settle(bridges)
        here.listen(list(dict.fromkeys(address for known in stage.known.values() for address in known.host.values())))
        if how.forwards:
            _open(stage, networks, world, facts, todo)
        yield stage


def _gates(facts: Facts, how: How) -> dict[int, str]:
    """The host's addresses that the outside knows."""
    if not how.elsewhere:
        return {4: probe.BEFORE4.partition("/")[0], 6: probe.BEFORE6.partition("/")[0]}
    found: dict[int, str] = {}
    for family in FAMILIES:
        nics = [uplink.nic for uplink in facts.uplinks if family in uplink.families]
        its = [str(one.ip) for link, one in facts.addresses if link in nics and one.version == family]
        found |= {family: its[0]} if its else {}
    return found


def _uplinks(networks: list[Network]) -> dict[str, str]:
    return {network.name: network.uplink for network in networks if network.uplink}


def _learning(bridges: list[str], report: Report) -> None:
    delay = max(map(probe.forwarding_delay, bridges), default=0.0)
    if delay:
        report(f"waiting {delay:.0f} s until the bridges (STP) pass what the new ends send")
        time.sleep(delay)


def _open(stage: Stage, networks: list[Network], world: World, facts: Facts, todo: contextlib.ExitStack) -> None:
    """A forward into each network that is closed in a family, to its first end, on a port that nobody uses."""
    used = {listener.port for listener in facts.listening}
    used |= {
        port
        for guest in world.guests
        for forward in guest.forwards
        for port in range(forward.ports.first, forward.ports.last + 1)
    }
    free = (port for port in PORTS if port not in used)
    items: dict[str, tuple[str, ...]] = {}
    for network in networks:
        if network.mode == "isolated":
            continue
        end, port = stage.guests[network.name][0], next(free)
        stage.ports[network.name] = port
        for family, address in end.addresses.items():
            new = tuple(f"{protocol} . {port} : {address} . {end.port}" for protocol in ("tcp", "udp"))
            items[f"any{family}"] = (*items.get(f"any{family}", ()), *new)
    if not items:
        return
    add = nft.add_elements(items)
    made = add + nft.add_elements(_counted(items, stage, facts))
    away = made + made.replace("add element", "delete element")  # adding first makes deleting safe
    # Should we be killed, the host's end does it when it notices.
    stage.here.talk.say(do="at_end", program="nft", text=away)
    todo.callback(load, away)
    load(add)


def _counted(items: Mapping[str, tuple[str, ...]], stage: Stage, facts: Facts) -> nft.Elements:
    """Where the kernel counts what went by these forwards: at whatever address of the host was asked for."""
    own = {str(address.ip) for _, address in facts.addresses}
    own |= {text.partition("/")[0] for text in (probe.BEFORE4, probe.BEFORE6)}
    return {
        f"flows{family}": tuple(
            f"{address} . {protocol} . {port}"
            for address in sorted(own)
            if (":" in address) == (family == IPV6)
            for protocol in ("tcp", "udp")
            for port in stage.ports.values()
        )
        for family in FAMILIES
        if f"any{family}" in items
    }
