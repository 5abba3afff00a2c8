"""Why a packet came through, or where it ended: the way it took, hop by hop, the cause, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from guestnet.decide import forwarded
from guestnet.decide.case import Case, Followed, Why
from guestnet.decide.causes import judge
from guestnet.decide.hops import Hop, answer, hops, is_bridged, is_routed, is_translated
from guestnet.decide.trace import Step, first, last


def explain(case: Case) -> Why:
    there = [steps for steps in case.packets if first(steps).source == case.came_from]
    back = [steps for steps in case.packets if first(steps).source != case.came_from]
    sent = there[0] if there else ()
    ended = next((step for step in sent if step.ended), None)
    reached, cause, todo = judge(case, sent, back, ended)
    found = list(hops(sent, case.protocol, "" if is_bridged(sent, case.bridge) else _route(case, sent)))
    if case.through and sent and last(sent).target == case.asked and not ended and not is_translated(sent):
        found.insert(1, forwarded.passed_by(case.through, sent))
    reply = None if reached or ended else next((steps for steps in back if any(step.ended for step in steps)), None)
    if reply is not None:
        found += [answer(hop) for hop in hops(reply, case.protocol, "")]
    elif not ended and case.legacy and case.answer["outcome"] == "silence" and found and any(map(is_routed, sent)):
        # What a chain before it saw is not what left the host.
        found[-1] = Hop("others'", f"{case.legacy}; no trace shows it")
        found += _end(case, sent)
    elif not ended:
        found += _end(case, sent)
    decided = ended or next((step for step in reply or () if step.ended), None)
    return Why(tuple(found), reached, cause, todo, decided)


def _route(case: Case, sent: Sequence[Step]) -> str:
    if not case.route:
        return f"none: {case.refusal}"
    refused = case.refusal and not any(map(is_routed, sent))
    return f"{case.route}, but not for what comes in here: {case.refusal}" if refused else case.route


def let_through(case: Case, found: Why) -> Followed:
    """Of a packet that should not have come through: by what it did, as well as it can be told."""
    accepts = [hop for hop in found.hops if hop.where.endswith(("'s", "s'"))]
    what = f"by {accepts[-1].where} rule in {accepts[-1].what}" if accepts else "no rule stopped it"
    if not case.drift:
        return Followed("", what, f"{case.ask} shows its way")
    return Followed("", f"{what}; the host is not as the file says: {'; '.join(case.drift)}", "guestnet apply")


def _end(case: Case, sent: Sequence[Step]) -> list[Hop]:
    """Where no rule had the last word: what whoever it was for did."""
    end = last(sent)
    whom = case.name(end.target or case.asked)
    said = {
        "answered": "answered",
        "refused": "refused: nothing listens there",
        "rejected": f"rejected it: {case.answer['text']}",
        "nowhere": f"not sent: {case.answer['text']}",
        "silence": "no answer",
    }.get(case.answer["outcome"], case.answer["text"])
    if case.answer["outcome"] == "silence" and not case.neighbour and not case.isolated and not case.on_lan:
        said = "nobody has this address"
    if case.answer["outcome"] == "rejected":
        whom = case.name(case.answer["by"])
    before = [case.unseen] if case.unseen and not sent and case.answer["outcome"] != "nowhere" else []
    if sent and not any(map(is_routed, sent)) and (not case.own or is_translated(sent)):
        return before  # it got no further than the route
    return [*before, Hop(whom, said)]
