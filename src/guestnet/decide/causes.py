"""What stopped a followed packet, in one sentence, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address

from guestnet.decide import forwarded, lan, wishes
from guestnet.decide.case import Case
from guestnet.decide.hops import is_bridged, is_routed, is_translated, masqueraded
from guestnet.decide.trace import Step, first, last, owner, whose
from guestnet.spec.world import Network
from guestnet.words.addresses import is_private, parse_ip

_Said = tuple[bool, str, str]


def judge(case: Case, sent: Sequence[Step], back: Sequence[Sequence[Step]], ended: Step | None) -> _Said:
    outcome, by = case.answer["outcome"], case.answer["by"]
    local = case.own and not is_translated(sent)
    astray = forwarded.astray(case.through, last(sent), outcome, case.drift) if case.through and sent else None
    match outcome, by:
        case _ if ended is not None:
            said = _by_rule(case, sent, ended)
        case _ if astray is not None and outcome in ("answered", "refused"):
            said = False, *astray
        case "answered", _:
            said = True, f"{case.name(last(sent).target or case.asked)} answered", _amiss(case)
        case _ if case.below and outcome != "refused" and not any(step.ended for steps in back for step in steps):
            said = False, case.reason, lan.ADVICE
        case "nowhere", _:
            what = f"{case.source} could not send it: {case.answer['text']}"
            said = False, what, f"is there an address and a route to {case.asked}, and does the next hop answer?"
        case "refused", case.asked:
            said = _refused(case, sent)
        case _ if not sent:
            said = _never_seen(case)
        case _ if not any(map(is_routed, sent)) and not local:
            said = _not_routed(case)
        case "rejected", who:
            said = False, f"{case.name(who)} rejected it: {case.answer['text']}", "look at that machine's firewall"
        case _:
            said = _unanswered(case, sent, back)
    return said


def _amiss(case: Case) -> str:
    """What to do about a packet that should not have come through."""
    if case.promise != "no" or case.through:
        return ""
    mend = f"the host differs from the file ({case.drift[0]}): guestnet apply" if case.drift else "guestnet plan"
    return f"by the file it should not ({case.reason}); {mend}"


def _by_rule(case: Case, sent: Sequence[Step], ended: Step) -> _Said:
    who = owner(ended)
    where = f"table {ended.table}, chain {ended.chain}: {ended.text}"
    if is_bridged(sent, case.bridge) and who != "guestnet":
        return _bridged(case, ended)
    if who in ("guestnet", "libvirt"):
        todo = _ours(case, who, sent, ended)
    elif ended.kind == "policy":
        program = "ip6tables" if ended.table.startswith("ip6") else "iptables"
        todo = f"accept what you want there, or set the policy back: {program} -P {ended.chain} ACCEPT"
    else:
        todo = f"remove that rule, or accept it before: nft list chain {ended.table} {ended.chain}"
    return False, f"{ended.end} by {whose(ended)} {'policy' if ended.kind == 'policy' else 'rule'} in {where}", todo


def _ours(case: Case, who: str, sent: Sequence[Step], ended: Step) -> str:
    """What to do about a rule that is there for the networks of the file."""
    family, forward = 6 if ":" in case.asked else 4, bool(case.through)
    if who == "guestnet":
        wish = wishes.denied(case.between, ended, last(sent))
    else:  # a forward goes by all of libvirt's rules, if the host is as it should be
        wish = "" if case.uplink or forward else wishes.uplink(case.between, last(sent))
    if wish:
        name = "; name another with --target" if case.target == "internet" and "egress" in wish else ""
        return f"the file wants it so: {wish}{name}"
    if case.wanted and not case.through:
        return case.wanted
    if case.uplink:
        only = f"{case.target} takes only what comes in through {case.uplink}, and this came by a link of our own"
        return f"{only}: measure with --from ssh:HOST"
    if case.drift:
        return f"the host differs from the file ({case.drift[0]}): guestnet apply"
    if who == "libvirt":
        return "restart libvirtd, which makes its rules anew"
    wish = wishes.other(case.between, ended, family, forwarded=forward)
    return f"the file wants it so: {wish}" if wish else "the host is as the file says: see guestnet show"


def _bridged(case: Case, ended: Step) -> _Said:
    """br_netfilter: what only passes through a bridge is judged by the rules for what is routed."""
    program = "ip6tables" if ended.table.startswith("ip6") or ":" in case.asked else "iptables"
    off = f"turn it off: sysctl -w net.bridge.bridge-nf-call-{program}=0"
    if not ended.table.startswith(("ip ", "ip6 ")):
        where = f"table {ended.table}, chain {ended.chain}: {ended.text}"
        return False, f"br_netfilter hands bridged packets to {whose(ended)} {where}", off
    rule = "" if ended.kind == "policy" else f"{whose(ended)} rule in chain {ended.chain}: "
    cause = f"br_netfilter hands bridged packets to {program}' FORWARD, {rule}{ended.text}"
    return False, cause, f"{program} -I FORWARD -i {case.bridge} -o {case.bridge} -j ACCEPT; or {off}"


def _refused(case: Case, sent: Sequence[Step]) -> _Said:
    what = f"{case.protocol} {case.port}" if case.port else case.protocol
    if case.stands_for:
        return True, f"it arrived: {case.asked} itself says that nobody listens on {what}", ""
    whom = last(sent).target or case.asked
    if case.own and whom == case.asked:
        todo = "start the service"
        if case.drift:
            todo = f"the host differs from the file ({case.drift[0]}): guestnet apply"
        return False, f"it arrived at the host, and nothing listens on {what} of {case.asked}", todo
    return False, f"it arrived at {case.name(whom)}, and nothing listens on {what} there", "start the service there"


def _never_seen(case: Case) -> _Said:
    if case.isolated:
        return False, "guest_isolation: the bridge passes nothing from one guest's port to another's", case.wanted
    if case.on_lan:
        said = f"rejected by {case.answer['by']}" if case.answer["outcome"] == "rejected" else "not answered"
        what = f"it went over {case.on_lan} to the LAN, past all rules of this host, and was {said}"
        return False, what, f"does the LAN's router know the way to {case.asked}, and back?"
    if case.stopped or not case.neighbour:
        return _absent(case, f"nobody in the network has {case.asked}")
    if case.answer["outcome"] == "silence":
        what = f"it stayed inside the network's bridge, and {case.name(case.asked)} did not answer"
        return False, what, "look at the guest's own firewall"
    return False, "the packet was not seen on this host", "try again"


def _not_routed(case: Case) -> _Said:
    """It came in, and the kernel passed it on neither to the host itself nor to another link."""
    if case.off:
        return False, f"forwarding is off ({case.off} = 0)", f"guestnet apply, or sysctl -w {case.off}=1"
    if not case.route:
        what = f"the host has no route to {case.asked} ({case.refusal})" if case.refusal else ""
        todo = "give it one, or start the network that has it"
        return False, what or f"the host has no route to {case.asked}", todo
    if case.strict and case.refusal:
        what = f"the reverse path filter dropped it: {case.came_from} is not routed to where it came from"
        return False, what, "sysctl -w net.ipv4.conf.all.rp_filter=2, or mend the route"
    ip = "ip -6" if ":" in case.asked else "ip"
    todo = f"look at: {ip} route get {case.asked} from {case.came_from}, {ip} rule, tc filter"
    if case.refusal:
        return False, f"the kernel does not route what comes from there: {case.refusal}", todo
    return False, "the kernel did not pass it on, and no rule says why", todo


def _unanswered(case: Case, sent: Sequence[Step], back: Sequence[Sequence[Step]]) -> _Said:
    """It went on its way, and silence came back."""
    reply = next((step for steps in back for step in steps if step.ended), None)
    whom = last(sent).target or case.asked
    if reply is not None:
        _, cause, todo = _by_rule(case, next(steps for steps in back if reply in steps), reply)
        return False, f"the answer was {cause}", todo
    if case.own and whom == case.asked:
        return False, f"it arrived at the host, and nothing answered for {case.asked}", "look at: nft list ruleset"
    return _passed_on(case, sent, back, whom)


def _passed_on(case: Case, sent: Sequence[Step], back: Sequence[Sequence[Step]], whom: str) -> _Said:
    """To another link, as far as rules show."""
    if case.legacy and any(map(is_routed, sent)):
        what = f"no answer came, and no rule that a trace shows stopped it; {case.legacy}"
        return False, what, "guestnet doctor says what to do about that"
    if case.stopped or not case.neighbour:
        return _absent(case, f"it was passed on, and nobody has {whom} there")
    if back:
        return _came_back(back)
    if case.target == "internet":
        return _beyond(case, sent)
    what = f"it was passed on to {case.name(whom)}, and no answer came back"
    return False, what, "look at the guest's own firewall, and whether it has a route back"


def _absent(case: Case, what: str) -> _Said:
    """Nobody answers for the address; of a guest that stopped the host knows better than of its address."""
    if case.stopped:
        return False, f"guest {case.target} does not run", f"virsh start {case.target}"
    return False, what, "is the guest on, and has it that address?"


def _came_back(back: Sequence[Sequence[Step]]) -> _Said:
    link = first(back[-1]).iif
    if link and not any(map(is_routed, back[-1])):
        todo = f"look at: sysctl net.ipv4.conf.{link}.forwarding, ip route, and rp_filter of {link}"
        if ":" in first(back[-1]).source:
            todo = "look at: sysctl net.ipv6.conf.all.forwarding, and ip -6 route"
        return False, f"the answer came back through {link}, and the host did not pass it on", todo
    return False, "the answer came back to the host and did not reach the asker", "look at the asker's own firewall"


def _beyond(case: Case, sent: Sequence[Step]) -> _Said:
    """It left the host for the internet."""
    if masqueraded(sent):
        what = "it left the host as the host's own address, and no answer came back"
        return False, what, f"does {case.asked} answer to the host itself? guestnet why host {case.asked}"
    if is_private(parse_ip(case.came_from)) and (case.nat or case.promise != "yes"):
        what = f"it left as {case.came_from}, which nobody out there can answer: no rule translated it"
        return False, what, "restart libvirtd: its own NAT rules are gone" if case.nat else "use mode nat"
    what = f"it left the host as {case.came_from}, and no answer came back"
    return False, what, _way_back(case)


def _way_back(case: Case) -> str:
    """What the answer needs where the host translates nothing, or by a prefix only."""
    network = case.between[0]
    shared = network.v6.outside if isinstance(network, Network) and network.v6 and ":" in case.came_from else None
    if shared is None:
        return f"does the router upstream have a route to {case.came_from}?"
    known = shared.address(IPv6Address(case.came_from))
    look = f"tcpdump -ni {shared.nic} icmp6 and host {known}"
    return (
        f"outside it is {known}: does the router ask for it on {shared.nic}, and does the host answer ({look})? "
        "Providers may drop what they have not given out"
    )
