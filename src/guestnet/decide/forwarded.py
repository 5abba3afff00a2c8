"""Why no forward took a packet to the guest that was meant, and how to have one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from guestnet.compile import ruleset
from guestnet.decide.forwardtext import forward_lines
from guestnet.decide.hops import Hop
from guestnet.decide.trace import Head, Step
from guestnet.spec.world import Forward


@dataclass(frozen=True)
class Through:
    """Somebody was asked for by a port of the host.

    source: who asked; addresses: where the packet should end; forwards: the guest's, of that family; running: None when
    libvirt does not know the guest.
    """

    name: str
    source: str
    addresses: frozenset[str]
    asked: str  # the host's address
    protocol: str
    port: int
    came_from: str
    forwards: tuple[Forward, ...] = ()
    running: bool | None = True
    options: str = ""  # that `why` needs for it
    made: bool = False  # by guestnet itself, for a measurement
    names: Mapping[str, str] = field(default_factory=dict)


def astray(through: Through, end: Head, outcome: str, drift: tuple[str, ...]) -> tuple[str, str] | None:
    """Cause and what to do, when the packet went elsewhere; None when it went where it should."""
    if end.target in through.addresses:
        return None
    port = f"{through.port}/{through.protocol}"
    if end.target != through.asked:
        other = through.names.get(end.target, end.target)
        return (
            f"{port} of {through.asked} is forwarded to {other}, not to {through.name}",
            "correct the file, or apply it",
        )
    cause, todo = _untranslated(through, port, drift)
    if outcome == "answered":
        return f"{cause}; the host itself answered", todo
    return f"{cause}; it arrived at the host, where nothing listens on {through.protocol} {through.port}", todo


def passed_by(through: Through, steps: Sequence[Step]) -> Hop:
    """That no forward took it, as a hop."""
    if any(step.table == "inet guestnet" for step in steps):
        return Hop("guestnet's", f"inet guestnet: no forward takes {through.protocol} {through.port}")
    return Hop("guestnet's", "there is no table inet guestnet: nothing is forwarded")


def _untranslated(through: Through, port: str, drift: tuple[str, ...]) -> tuple[str, str]:
    mend = f"the host differs from the file ({drift[0]}): guestnet apply" if drift else "guestnet apply"
    if through.made:
        return "no rule translated it, though a forward was made for it", mend
    wanted = [one for one in through.forwards if _takes(one, through)]
    if not wanted:
        return f"the host forwards no {port} to {through.name}", _add(through)
    if not any(one.source is None or ip_address(through.came_from) in one.source for one in wanted):
        only = ", ".join(sorted(str(one.source) for one in wanted))
        cause = f"{port} is forwarded to {through.name} only for {only}, and {through.came_from} asked"
        return cause, "ask from there, or change `from` in the file"
    line = ", ".join(shown(wanted))
    if not through.running:
        what = "does not run" if through.running is False else "is not defined in libvirt"
        return f"{through.name} {what}, so its forward {line} waits", f"virsh start {through.name}"
    nics = [one.listen for one in wanted if isinstance(one.listen, str)]
    if len(nics) == len(wanted) and not drift:
        cause = f"{line} is only for what comes in through {', '.join(nics)}, and this came by a link of our own"
        return cause, "ask from a machine out there"
    return f"{through.name}'s forward {line} is not in force", mend


def _takes(forward: Forward, through: Through) -> bool:
    return forward.protocol == through.protocol and forward.ports.first <= through.port <= forward.ports.last


def _add(through: Through) -> str:
    """How to reach the port, since there is no forward from it."""
    suffix = "" if through.protocol == "tcp" else f"/{through.protocol}"
    for one in through.forwards:
        if one.protocol == through.protocol and one.to.first <= through.port <= one.to.last:
            host = one.ports.first + through.port - one.to.first
            ask = f"guestnet why {through.source} {through.name} {host}{suffix}{through.options}"
            return f"its port {through.port} is forwarded from the host's {host}: {ask}"
    todo = f"to reach its port {through.port}, write at guest {through.name} in the file, and apply: "
    todo += f'forwards: ["{through.port}{suffix}"]'
    return f"{todo}; it has {', '.join(shown(through.forwards))}" if through.forwards else todo


def shown(forwards: Iterable[Forward]) -> list[str]:
    """As a person wrote them, without families: `4023/tcp -> 22`."""
    pairs = [(name, item) for name, items in ruleset.elements(forwards).items() for item in items]
    return [line.rsplit(" (", 1)[0] for line in forward_lines(pairs)]
