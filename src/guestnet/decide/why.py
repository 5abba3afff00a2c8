"""Why a packet came through, or where it ended: the way it took, hop by hop, the cause, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from guestnet.decide.trace import Step, destination, owner
from guestnet.words.addresses import is_private, parse_ip


@dataclass(frozen=True)
class Case:
    """What was asked and what was seen.

    answer: what probework said. packets: the steps of each packet traced, in order. facts of the host that no rule
    shows: `forwarding` of the family, `route` (what `ip route get` says from where the packet came in, empty: there is
    no route), `neighbour` (whether somebody answers for the address), `strict` (reverse path filter where it came in),
    `drift` (what the plan would mend).
    """

    source: str
    target: str
    asked: str  # the address
    protocol: str
    port: int
    came_from: str  # the address asked from
    answer: dict[str, Any]
    packets: Sequence[Sequence[Step]]
    forwarding: bool = True
    route: str = ""
    neighbour: bool = True
    strict: bool = False
    to_host: bool = False  # the address is one of the host's own
    isolated: bool = False  # guest_isolation of the network both are in
    nat: bool = False  # libvirt should translate what leaves the network
    drift: tuple[str, ...] = ()


@dataclass(frozen=True)
class Why:
    """`lines` are the way, `cause` is one sentence, `todo` what to change."""

    lines: tuple[str, ...]
    reached: bool
    cause: str
    todo: str = ""
    steps: tuple[Step, ...] = field(default=(), repr=False)


def explain(case: Case) -> Why:
    there = [steps for steps in case.packets if _is_from(steps, case.came_from)]
    back = [steps for steps in case.packets if not _is_from(steps, case.came_from)]
    first = there[0] if there else ()
    lines = tuple(_lines(first))
    ended = next((step for step in first if step.ended), None)
    reached, cause, todo = _judge(case, first, back, ended)
    return Why(lines, reached, cause, todo, tuple(first))


_Said = tuple[bool, str, str]


def _judge(case: Case, first: Sequence[Step], back: Sequence[Sequence[Step]], ended: Step | None) -> _Said:
    match case.answer["outcome"], case.answer["by"]:
        case _ if ended is not None:
            return _by_rule(case, ended)
        case "answered", _:
            said = True, f"{case.target} answered", ""
        case "nowhere", _:
            said = (
                False,
                f"{case.source} has no way to send it: {case.answer['text']}",
                "give it a route, or an address",
            )
        case "refused", case.asked:
            said = _refused(case)
        case _ if not first:
            said = _never_seen(case)
        case _ if not _passed_on(first):
            said = _not_routed(case)
        case "rejected", who:
            said = False, f"{who} rejected it: {case.answer['text']}", "look at that machine's firewall"
        case _:
            said = _unanswered(case, first, back)
    return said


def _by_rule(case: Case, ended: Step) -> _Said:
    whose = owner(ended)
    where = f"table {ended.table}, chain {ended.chain}: {ended.text}"
    todo = ""
    if whose == "guestnet's":
        todo = "the file wants it so; host_access, inbound, egress, guest_isolation or a forward change it"
    elif whose == "libvirt's":
        todo = "mend what differs from the file: guestnet apply" if case.drift else "a forward, or mode routed"
    elif ended.kind == "policy":
        todo = f"accept what you want there, or set the policy back: iptables -P {ended.chain} ACCEPT"
    else:
        todo = f"remove that rule, or accept it before: nft list chain {ended.table} {ended.chain}"
    return False, f"dropped by {whose} {'policy' if ended.kind == 'policy' else 'rule'} in {where}", todo


def _refused(case: Case) -> _Said:
    what = f"{case.protocol} {case.port} of {case.asked}" if case.port else case.asked
    if case.to_host:
        todo = "start the service, or give a guest a forward from that port, in the file"
        if case.drift:
            todo = f"the host differs from the file ({case.drift[0]}): guestnet apply"
        return False, f"it arrived at the host, and nothing listens on {what}", todo
    return True, f"it arrived, and nothing listens on {what}", "start the service in the guest"


def _never_seen(case: Case) -> _Said:
    if case.isolated:
        return False, "guest_isolation: the bridge passes nothing from one guest's port to another's", "turn it off"
    if not case.neighbour:
        return False, f"nobody in the network has {case.asked}", "is the guest on, and has it that address?"
    if case.answer["outcome"] == "silence":
        what = f"it stayed inside the network's bridge, and {case.asked} did not answer"
        return False, what, "look at the guest's own firewall"
    return False, "the packet was not seen on this host", "try again"


def _not_routed(case: Case) -> _Said:
    """It came in, and the kernel passed it on neither to the host itself nor to another link."""
    if not case.forwarding:
        family = "net.ipv6.conf.all.forwarding" if ":" in case.asked else "net.ipv4.ip_forward"
        return False, f"forwarding is off ({family} = 0)", f"guestnet apply, or sysctl -w {family}=1"
    if not case.route:
        return False, f"the host has no route to {case.asked}", "give it one, or start the network that has it"
    if case.strict:
        what = f"the reverse path filter dropped it: {case.came_from} is not routed to where it came from"
        return False, what, "sysctl -w net.ipv4.conf.all.rp_filter=2, or mend the route"
    return False, "the kernel did not pass it on, and no rule says why", "look at: ip route get, ip rule, tc filter"


def _unanswered(case: Case, first: Sequence[Step], back: Sequence[Sequence[Step]]) -> _Said:
    reply = next((step for steps in back for step in steps if step.ended), None)
    if reply is not None:
        whose = f"{owner(reply)} rule in table {reply.table}, chain {reply.chain}: {reply.text}"
        return False, f"the answer was dropped by {whose}", "see above"
    whom = destination(first) or case.asked
    if not case.neighbour:
        return False, f"it was passed on, and nobody has {whom} there", "is the guest on, and has it that address?"
    translated = any(step.verdict == "accept" and "masquerade" in step.text for step in first)
    if case.target == "internet" and is_private(parse_ip(case.came_from)) and not translated:
        what = f"it left as {case.came_from}, which nobody out there can answer: no rule translated it"
        todo = "restart libvirtd: its own NAT rules are gone" if case.nat else "use mode nat"
        return False, what, todo
    if back:
        return False, "the answer came back to the host and did not reach the asker", "look at the asker's own firewall"
    if case.target == "internet":
        what = f"it left the host as {case.came_from}, and no answer came back"
        return False, what, f"does the router upstream have a route to {case.came_from}?"
    what = f"it was passed on to {whom}, and no answer came back"
    return False, what, "look at the guest's own firewall, and whether it has a route back"


def _is_from(steps: Sequence[Step], address: str) -> bool:
    heads = [step.text for step in steps if step.kind == "packet"]
    return bool(heads) and f"saddr {address} " in f"{heads[0]} "


def _passed_on(steps: Sequence[Step]) -> bool:
    """Whether it came to the chains behind the routing decision: input, forward, output and what follows."""
    return any(
        step.kind == "packet" and ('oif "' in step.text or step.chain.lower() in ("input", "output")) for step in steps
    ) or any(step.chain.lower().endswith("input") for step in steps)


def _lines(steps: Sequence[Step]) -> Iterator[str]:
    """A line a chain: where, whose, and the rules that said more than `go on`."""
    heads = [step for step in steps if step.kind == "packet"]
    if heads:
        yield f"came in   {_links(heads[0].text)}"
    for step in steps:
        if step.kind == "rule" and (step.ended or step.verdict == "accept" or "ct mark set" in step.text):
            yield f"{owner(step):<10} {step.table} {step.chain}: {step.text}{'   <- dropped' if step.ended else ''}"
        elif step.kind == "policy" and step.ended:
            yield f"{owner(step):<10} {step.table} {step.chain}: {step.text}   <- dropped"
    out = [step for step in heads if 'oif "' in step.text]
    if out and not any(step.ended for step in steps):
        yield f"went out  {_links(out[-1].text)}"


def _links(head: str) -> str:
    """Through which NIC, and which addresses."""
    words = head.split()
    pairs = zip(words, words[1:], words[2:], strict=False)
    links = [
        f"{word} {name}"
        for word, name, _ in zip(words, words[1:], [*words[2:], ""], strict=False)
        if word in ("iif", "oif")
    ]
    ends = [
        f"{word} {value}" for family, word, value in pairs if family in ("ip", "ip6") and word in ("saddr", "daddr")
    ]
    return " ".join(links + ends)
