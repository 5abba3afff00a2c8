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
from dataclasses import dataclass, field
from typing import Any

from guestnet.act.ends import free, own, plug
from guestnet.compile import nft
from guestnet.decide.facts import Facts
from guestnet.decide.reach import FAMILIES, HOST, INTERNET, Cell, End, Key, Measured, judge
from guestnet.host import lock, probe
from guestnet.host.run import run
from guestnet.spec.world import Network, World

PORTS = range(61000, 65000)  # where a forward for a measurement is made
PATIENCE = 1.0  # seconds to wait for an answer
_FAR = (("tcp", 443), ("udp", 33434), ("icmp", 0))  # what the machine outside is asked; 33434 is traceroute's

Report = Callable[[str], None]


@dataclass
class _Stage:
    """The ends, by network name; and the ports of the forwards for the measurement."""

    here: probe.End
    outside: probe.End
    guests: dict[str, tuple[probe.End, probe.End]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Question:
    cell: Key
    asker: probe.End
    way: str  # direct or forward
    order: dict[str, Any]


@dataclass(frozen=True)
class Host:
    """What there is to measure. running: the networks whose bridge is up; target: whom to reach outside, by family."""

    world: World
    facts: Facts
    running: frozenset[str]
    target: Mapping[int, str]


def measure(host: Host, cells: tuple[Cell, ...], report: Report) -> tuple[Measured, ...]:
    """What each cell is; with two ends in each network, in a few seconds. Needs root."""
    running, target = host.running, host.target
    networks = [network for network in host.world.networks if network.name in running]
    with _stage(networks, host.world, host.facts, report) as stage:
        asked = [question for cell in cells for question in _questions(cell, networks, stage, target)]
        report(f"{len(asked)} probes")
        answers = _ask(asked)
    found: dict[Key, list[tuple[str, str, dict[str, Any]]]] = {}
    for question, answer in zip(asked, answers, strict=True):
        found.setdefault(question.cell, []).append((question.way, question.order["protocol"], answer))
    return tuple(judge(cell, found.get(cell.key, []), _unmeasured(cell, running, target)) for cell in cells)


def _unmeasured(cell: Cell, running: frozenset[str], target: Mapping[int, str]) -> str:
    """Why nobody was asked."""
    for end in (cell.source, cell.target):
        if end.kind == "network" and end.name not in running:
            return "on the LAN" if cell.verdict == "lan" else f"network {end.name} does not run"
    if cell.target == INTERNET and cell.family not in target:
        return f"nobody to ask: the host has no IPv{cell.family} gateway; name one with --target"
    return "no address is free in the network for an end to measure with"


def _questions(cell: Cell, networks: list[Network], stage: _Stage, target: Mapping[int, str]) -> Iterator[_Question]:
    names = {network.name: network for network in networks}
    if any(end.kind == "network" and end.name not in names for end in (cell.source, cell.target)):
        return
    asker = _asker(cell.source, stage)
    if cell.target == INTERNET:
        if cell.family in target and cell.family in asker.addresses:
            for protocol, port in _FAR:
                yield _Question(cell.key, asker, "far", _order(protocol, target[cell.family], port))
        return
    answerer = stage.here
    address = asker.addresses.get(cell.family)
    if cell.target == HOST:
        address = own(names[cell.source.name], cell.family)
    else:
        answerer = stage.guests[cell.target.name][1 if cell.target == cell.source else 0]
        address = answerer.addresses.get(cell.family)
    if address is None or cell.family not in asker.addresses:
        return
    for protocol in ("tcp", "udp", "icmp"):
        yield _Question(cell.key, asker, "direct", _order(protocol, address, answerer.port))
    opened, gate = stage.ports.get(cell.target.name), _gate(cell.source, names, cell.family)
    if cell.verdict == "forwards" and opened and gate:
        for protocol in ("tcp", "udp"):
            yield _Question(cell.key, asker, "forward", _order(protocol, gate, opened))


def _order(protocol: str, to: str, port: int) -> dict[str, Any]:
    return {"protocol": protocol, "to": to, "port": port, "timeout": PATIENCE}


def _asker(end: End, stage: _Stage) -> probe.End:
    if end == HOST:
        return stage.here
    return stage.outside if end == INTERNET else stage.guests[end.name][0]


def _gate(source: End, names: dict[str, Network], family: int) -> str | None:
    """The host's address that the asker knows."""
    if source == INTERNET:
        return (probe.BEFORE4 if family == 4 else probe.BEFORE6).partition("/")[0]  # noqa: PLR2004
    return own(names[source.name], family) if source.kind == "network" else None


def _ask(questions: list[_Question]) -> list[dict[str, Any]]:
    """An answer for each, all at once: whoever is asked answers, though it asks itself."""
    askers = {id(question.asker): question.asker for question in questions}
    its = {name: [i for i, question in enumerate(questions) if id(question.asker) == name] for name in askers}
    with ThreadPoolExecutor(max_workers=max(1, len(askers))) as pool:
        asked = {
            name: pool.submit(asker.ask, [questions[i].order for i in its[name]]) for name, asker in askers.items()
        }
    answers = {
        i: answer for name, future in asked.items() for i, answer in zip(its[name], future.result(), strict=True)
    }
    return [answers[i] for i in range(len(questions))]


@contextlib.contextmanager
def _stage(networks: list[Network], world: World, facts: Facts, report: Report) -> Iterator[_Stage]:
    with lock.probe_lock(), contextlib.ExitStack() as todo:
        here = probe.here()
        todo.callback(here.close)
        outside = probe.outside("gnprobe0")
        todo.callback(outside.close)
        stage = _Stage(here, outside)
        report(f"plugging two ends into each of {len(networks)} networks")
        for i, network in enumerate(networks):
            stage.guests[network.name] = plug(network, f"gnprobe{i + 1}", free(network, world, facts, here), todo)
        delay = max((probe.forwarding_delay(network.bridge) for network in networks), default=0.0)
        if delay:
            report(f"waiting {delay:.0f} s until the bridges (STP) pass what the new ends send")
            time.sleep(delay)
        probe.settle([network.bridge for network in networks])
        here.listen([address for network in networks for family in FAMILIES if (address := own(network, family))])
        _open(stage, networks, world, facts, todo)
        yield stage


def _open(stage: _Stage, networks: list[Network], world: World, facts: Facts, todo: contextlib.ExitStack) -> None:
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
    away = add + add.replace("add element", "delete element")  # adding first makes deleting safe
    # Should we be killed, the host's end does it when it notices.
    stage.here.talk.say(do="at_end", program="nft", text=away)
    with contextlib.suppress(Exception), lock.rules_lock():
        run("nft", "-f", "-", given=add)
