"""Sends one probe from a place to a place, follows it, and gathers what no rule shows. The verdict is decide.why's."""

from __future__ import annotations

from dataclasses import dataclass, replace

from guestnet.act import hostview
from guestnet.act.asks import Ask, Question, Wanted, ask_for
from guestnet.act.ends import Stage
from guestnet.act.measure import Host, How, Report, stage
from guestnet.decide import legacy
from guestnet.decide.case import Case, Why
from guestnet.decide.hops import Hop, is_translated
from guestnet.decide.places import Place, find, running_domain
from guestnet.decide.reach import FAMILIES, HOST, INTERNET, Cell, End, predict
from guestnet.decide.trace import Step, first, last, parse
from guestnet.decide.why import explain
from guestnet.host.trace import AWAY, traced
from guestnet.spec.world import Lan, Network
from guestnet.words.families import IPV4
from guestnet.words.problems import GuestnetError


@dataclass(frozen=True)
class Answer:
    """note: what the asker was not."""

    family: int
    asked_from: str
    asked: str
    port: int
    why: Why
    note: str


def why(
    host: Host, question: Question, drift: tuple[str, ...], report: Report, *, lan: bool = False
) -> tuple[list[Answer], list[str]]:
    """An answer for each family that both sides have, and why others were not asked. lan: ends on the LAN may be made.

    Raises GuestnetError for a place that nobody knows, a network that does not run, and one on the LAN without `lan`.
    """
    source, target = _places(host, question)
    answers: list[Answer] = []
    skipped: dict[str, list[int]] = {}
    named = frozenset(one.network.name for one in (source, target) if one.network)
    if target.kind == "guest" and target.on_lan:
        what = f"the LAN gives {target.name} its address, and guestnet does not know it"
        raise GuestnetError(
            what, f"name the address instead; this shows it: virsh domifaddr {target.name} --source agent"
        )
    if not lan:
        _not_on_the_lan(source, target)
    with stage(replace(host, running=named), How(lan=lan, forwards=False), report) as ends:
        for family in FAMILIES:
            ask = ask_for(Wanted(host, ends, question, source, target, family))
            if isinstance(ask, str):
                skipped.setdefault(ask, []).append(family)
                continue
            case = follow(host, ends, ask, drift)
            found = explain(case)
            if ask.lacks and found.reached:
                found = replace(
                    found, reached=False, cause=ask.lacks, todo="look at the LAN: its DHCP server, its router"
                )
            answers.append(Answer(family, case.came_from, case.asked, case.port, found, _note(ask)))
    return answers, [f"IPv{' and IPv'.join(map(str, families))} not asked: {why}" for why, families in skipped.items()]


def _not_on_the_lan(*places: Place) -> None:
    for place in places:
        # Of one with a device of its own for each guest there are no ends, with the option or without.
        if isinstance(place.network, Lan) and place.network.mode != "passthrough":
            raise GuestnetError(f"{place.name} is on the LAN: its ends get MACs there and a lease", "say --lan")


def _places(host: Host, question: Question) -> tuple[Place, Place]:
    def place(name: str, beside: Place | None = None) -> Place:
        return find(host.world, host.facts, host.running, name, beside)

    source = place(question.source)
    target = place(question.target, source)
    return (place(question.source, target) if source.kind == "guest" else source), target


def follow(host: Host, ends: Stage, ask: Ask, drift: tuple[str, ...]) -> Case:
    """Sends it, and gathers what happened to it."""
    ends.here.talk.say(do="at_end", program="nft", text=AWAY)  # should we be killed
    order = ask.order
    answer, lines = traced(
        order["protocol"], ask.sent_from, ask.asked, order["port"], lambda: ask.asker.ask([order])[0]
    )
    return replace(_case(host, ends, ask, parse(lines)), answer=answer, drift=drift)


def _case(host: Host, ends: Stage, ask: Ask, packets: list[list[Step]]) -> Case:
    came_from = ask.sent_from or (first(packets[0]).source if packets else "")
    sent = next((steps for steps in packets if first(steps).source == came_from), [])
    whom, link = last(sent).target or ask.asked, first(sent).iif
    if ask.through and whom == ask.asked and is_translated(sent):
        whom = min(ask.through.addresses)  # as no chain saw it any more
    route, refusal = hostview.route(whom, came_from, link)
    network, cell = ask.source.network, _cell(host, ask)
    same = network is not None and network is ask.target.network
    return Case(
        source=ask.source.name,
        target=ask.target.name,
        asked=ask.asked,
        protocol=ask.order["protocol"],
        port=ask.order["port"],
        came_from=came_from,
        packets=packets,
        off=hostview.off(ask.family, link),
        route=route,
        refusal=refusal,
        neighbour=hostview.neighbour(whom, host),
        strict=ask.family == IPV4 and hostview.strict(link),
        own=hostview.own(ask.asked, host),
        stands_for=ask.target.kind in ("internet", "network"),
        through=ask.through,
        bridge=(network.bridge or "") if network else "",
        on_lan=network.place if isinstance(network, Lan) and not same else "",
        unseen=_unseen(ask, same=same),
        stopped=ask.target.guest is not None and running_domain(host.facts, ask.target.guest) is False,
        uplink=_uplink(ends, ask),
        isolated=same and network is not None and network.guest_isolation,
        nat=isinstance(network, Network) and network.mode == "nat" and (ask.family == IPV4 or network.nat6),
        between=(network, ask.target.network),
        promise=cell.verdict if cell else "",
        reason=cell.reason if cell else "",
        # What the host itself sends or gets does not pass FORWARD.
        legacy=""
        if "host" in (ask.source.kind, ask.target.kind)
        else legacy.unseen(host.facts, host.world, ask.family),
        names=hostview.names(host),
    )


def _uplink(ends: Stage, ask: Ask) -> str:
    network = ask.target.network
    ours = ask.source.network is None and ask.source.kind != "host" and not ends.elsewhere
    return (network.uplink or "") if ours and isinstance(network, Network) else ""


def _unseen(ask: Ask, *, same: bool) -> Hop | None:
    """Where it passes when no rule of the host sees it."""
    network = ask.source.network
    if network is None or not (same or ask.source.on_lan):
        return None
    if network.bridge:
        return Hop(network.bridge, "passes through the bridge, where no rule of the host sees it")
    nic = network.interface if isinstance(network, Lan) else None
    return Hop(nic or "macvtap", "passes below every rule of the host, as macvtaps do")


def _cell(host: Host, ask: Ask) -> Cell | None:
    """What the file promises of it."""
    key = (_end(ask.source), _end(ask.target), ask.family)
    return next((cell for cell in predict(host.world, host.facts) if cell.key == key), None)


def _end(place: Place) -> End:
    if place.network is not None:
        return End("network", place.network.name)
    return HOST if place.kind == "host" else INTERNET


def _note(ask: Ask) -> str:
    source = ask.source
    if ask.lacks:
        return f"one end in {source.name} asked another: {ask.lacks}"
    match source.kind:
        case "outside":
            return f"asked from an end of ours behind a link of our own: {source.name} itself cannot be asked from here"
        case "internet":
            return "asked from an end of ours behind a link of our own"
        case "guest" | "address":
            return f"asked from an end of ours beside {source.name}, whose own firewall and routes are not seen"
    return ""
