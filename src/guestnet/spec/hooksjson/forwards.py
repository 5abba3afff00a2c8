"""From what the hook forwarded to forwards of the file: families, ports and protocols put together where they fit.

Ports are looked at one by one, as `check` does, so that what comes out is right however entries overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from guestnet.spec import forwards as words
from guestnet.spec.forwards import Listen, Protocols, Source
from guestnet.spec.hooksjson.entries import Want
from guestnet.spec.hooksjson.fields import Said
from guestnet.words.ports import PortRange, Protocol
from guestnet.words.problems import Place

MOST_PORTS = 500_000  # of all forwards, each family counted: each is an element of the firewall's maps
_EVERYBODY: dict[int, Source] = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}


@dataclass(frozen=True)
class Placed:
    """A want, and the network of the NIC that it goes to."""

    want: Want
    network: str

    @property
    def slot(self) -> Slot:
        return self.want.ports.protocol, self.want.address.version, self.want.listen

    @property
    def target(self) -> Target:
        ports = self.want.ports
        return self.want.guest, self.network, ports.protocol, ports.to.first - ports.ports.first


Slot = tuple[Protocol, int, Listen | None]  # protocol, family, listener: here a port belongs to one guest
Target = tuple[str, str, Protocol, int]  # guest, network, protocol, and what is added to the host's port


@dataclass(frozen=True)
class Shape:
    """Where a forward listens, and for whom; () is any, and everybody. `families` are those it serves."""

    listen: tuple[Listen, ...]
    sources: tuple[Source, ...]
    families: tuple[int, ...]


@dataclass(frozen=True)
class Forward:
    place: Place
    ports: PortRange
    to: PortRange
    protocol: Protocols
    shape: Shape
    network: str
    remark: str


def forwards(placed: Iterable[Placed], said: Said) -> dict[str, list[Forward]]:
    """By guest, in the order of the file."""
    listed, count = list(placed), 0
    for one in listed:
        count += len(one.want.ports.ports)
        if count > MOST_PORTS:
            said.wrong(one.want.ports.place, f"more than {MOST_PORTS:,} ports are forwarded", "narrow the ranges")
            return {}
    guests: dict[str, list[Forward]] = {}
    for (guest, *_), made in _both_protocols(_by_target(_owners(listed, said))):
        guests.setdefault(guest, []).append(made)
    return {guest: sorted(made, key=lambda one: (one.place, one.ports)) for guest, made in guests.items()}


def _owners(placed: list[Placed], said: Said) -> dict[Slot, dict[int, tuple[Placed, ...]]]:
    """Who has each port. More than one: they are of one mind where to, and admit different sources."""
    owners: dict[Slot, dict[int, tuple[Placed, ...]]] = {}
    for one in placed:
        owned, alone = owners.setdefault(one.slot, {}), (one,)
        for port in range(one.want.ports.ports.first, one.want.ports.ports.last + 1):
            there = owned.setdefault(port, alone)
            if there is alone:
                continue
            if there[0].target != one.target:
                _clash(one.want, there[0].want, said)
                break
            if not any(_admits(other.want.sources, one.want.sources) for other in there):
                owned[port] = (*there, one)
    return owners


def _admits(these: tuple[Source, ...], those: tuple[Source, ...]) -> bool:
    return not these or (bool(those) and set(those) <= set(these))


def _clash(one: Want, other: Want, said: Said) -> None:
    mine, its = one.ports.ports, other.ports.ports
    ports = PortRange(max(mine.first, its.first), min(mine.last, its.last))
    many = len(ports) > 1
    what = f"host port{'s' if many else ''} {ports}/{one.ports.protocol} {'are' if many else 'is'} already forwarded"
    to = f"{other.guest} port {other.ports.to}" if one.guest == other.guest else other.guest
    todo = "choose another, or give each a public_ip of its own"
    said.wrong(one.ports.place, f"{what} to {to} at line {other.ports.place.line}", todo)


def _by_target(owners: dict[Slot, dict[int, tuple[Placed, ...]]]) -> dict[Target, dict[int, list[tuple[Placed, ...]]]]:
    """For each target its ports, and for each port those who are to reach it: one item a listener and family."""
    targets: dict[Target, dict[int, list[tuple[Placed, ...]]]] = {}
    for owned in owners.values():
        for port, placed in owned.items():
            targets.setdefault(placed[0].target, {}).setdefault(port, []).append(placed)
    return targets


def _both_protocols(
    targets: dict[Target, dict[int, list[tuple[Placed, ...]]]],
) -> Iterator[tuple[Target, Forward]]:
    """The forwards, those of tcp and udp together where all else is the same."""
    made: dict[tuple[object, ...], tuple[Target, Forward]] = {}
    for target, ports in targets.items():
        for run in _runs(ports):
            guest, network, protocol, shift = target
            to = PortRange(run.ports.first + shift, run.ports.last + shift)
            key = guest, network, run.ports, shift, run.shape, run.remark
            both = key in made
            place = min(run.place, made[key][1].place) if both else run.place
            word: Protocols = "tcp+udp" if both else protocol
            made[key] = target, Forward(place, run.ports, to, word, run.shape, network, run.remark)
    yield from made.values()


@dataclass(frozen=True)
class _Run:
    """Ports one after the other that are reached the same way; with a remark they are those of one place."""

    ports: PortRange
    shape: Shape
    place: Place
    remark: str


def _runs(ports: dict[int, list[tuple[Placed, ...]]]) -> Iterator[_Run]:
    known: dict[tuple[int, ...], tuple[_Run, ...]] = {}
    going: dict[tuple[Shape, str, Place | None], _Run] = {}
    for port, placed in sorted(ports.items()):
        key = tuple(map(id, placed))
        if key not in known:
            known[key] = tuple(_reached(PortRange(port, port), placed))
        for new in known[key]:
            same = new.shape, new.remark, new.place if new.remark else None
            run = going.get(same)
            if run and run.ports.last == port - 1:
                going[same] = _Run(PortRange(run.ports.first, port), run.shape, run.place, run.remark)
                continue
            if run:
                yield run
            going[same] = _Run(PortRange(port, port), new.shape, new.place, new.remark)
    yield from going.values()


def _reached(port: PortRange, placed: list[tuple[Placed, ...]]) -> Iterator[_Run]:
    wants = [one.want for several in placed for one in several]
    first = min(wants, key=lambda want: want.ports.place)
    for shape in shapes(placed):
        yield _Run(port, shape, first.ports.place, first.remark)


def shapes(placed: Iterable[tuple[Placed, ...]]) -> list[Shape]:
    """As few as say it all: listeners of one family with the same sources, then a pair of families where it fits."""
    listens: dict[tuple[int, tuple[Source, ...], bool], set[Listen]] = {}
    for several in placed:
        _, version, listen = several[0].slot
        sources = [one.want.sources for one in several]
        all_sources = words.joined(tuple(source for some in sources for source in some)) if all(sources) else ()
        listens.setdefault((version, all_sources, listen is None), set()).update([] if listen is None else [listen])
    single = [Shape(_ordered(some), sources, (version,)) for (version, sources, _), some in listens.items()]
    found: list[Shape] = []
    sixes = [shape for shape in single if shape.families == (6,)]
    for four in (shape for shape in single if shape.families == (4,)):
        six = next((shape for shape in sixes if _fit(four, shape)), None)
        if six:
            sixes.remove(six)
        found.append(_pair(four, six) if six else four)
    return found + sixes


def _fit(one: Shape, other: Shape) -> bool:
    """A forward of both families listens on any, or on addresses, and on a NIC for both."""
    nics = [{listen for listen in shape.listen if isinstance(listen, str)} for shape in (one, other)]
    return bool(one.listen) == bool(other.listen) and nics[0] == nics[1]


def _pair(four: Shape, six: Shape) -> Shape:
    sources: tuple[Source, ...] = ()
    if four.sources or six.sources:
        sources = (*(four.sources or (_EVERYBODY[4],)), *(six.sources or (_EVERYBODY[6],)))
    return Shape(_ordered({*four.listen, *six.listen}), sources, (4, 6))


def _ordered(listens: Iterable[Listen]) -> tuple[Listen, ...]:
    """IPv4, IPv6, then NICs."""
    return tuple(sorted(listens, key=lambda one: (9, 0, one) if isinstance(one, str) else (one.version, int(one), "")))
