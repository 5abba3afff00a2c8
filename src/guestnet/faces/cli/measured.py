"""What the verbs that send packets share: the world of the file, and what of it runs."""

from __future__ import annotations

from guestnet.act.measure import Host
from guestnet.act.survey import look
from guestnet.decide.describe import describe
from guestnet.decide.state import Network
from guestnet.decide.upstream import beyond
from guestnet.faces.cli.online import host, wish
from guestnet.faces.cli.options import Options
from guestnet.host import netlink
from guestnet.words.addresses import parse_ip
from guestnet.words.problems import GuestnetError, WrongError


def place(options: Options, verb: str, targets: list[str]) -> tuple[Host, tuple[str, ...]]:
    """The host to measure, and what on it differs from the file, in lines."""
    wanted = wish(options)
    chosen: dict[int, str] = {}
    for text in targets:
        try:
            chosen[parse_ip(text).version] = text
        except WrongError as error:
            raise GuestnetError(error.what, error.todo) from None
    with host(options, verb) as libvirt:
        seen = look(wanted, libvirt)
    running = {key.name for key, thing in seen.live.items() if isinstance(thing, Network) and thing.running}
    drift = tuple(f"{item.title}: {line}" for item in describe(seen.plan) for line, _ in item.lines)
    return Host(seen.plan.world, seen.plan.facts, frozenset(running), beyond(netlink.gateways(), chosen), chosen), drift
