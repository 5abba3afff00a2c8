"""What was seen of a packet that was followed, and what is made of it: values between `act.why` and `decide.why`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from guestnet.decide.forwarded import Through
from guestnet.decide.hops import Hop, lines
from guestnet.decide.trace import Step
from guestnet.decide.wishes import Between
from guestnet.spec.world import Lan


@dataclass(frozen=True)
class Case:
    """What was asked and what was seen.

    answer: what probework said. packets: the steps of each packet traced, in order. What no rule shows: `off` (the
    sysctl that keeps the host from forwarding, "" when none does), `route` (what `ip route get` says, as a hop, ""
    when there is no route), `refusal` (why the kernel would not route it from where it came in), `neighbour` (whether
    somebody answers for the address), `strict` (reverse path filter where it came in), `drift` (what the plan would
    mend).
    """

    source: str
    target: str
    asked: str  # the address
    protocol: str
    port: int
    came_from: str  # the address asked from
    packets: Sequence[Sequence[Step]]
    answer: dict[str, Any] = field(default_factory=dict)
    off: str = ""
    route: str = ""
    refusal: str = ""
    neighbour: bool = True
    strict: bool = False
    own: bool = False  # the address is one of the host's
    stands_for: bool = False  # who was asked stands for many: a refusal by it has shown the way
    through: Through | None = None  # asked for by a port of the host
    bridge: str = ""  # where the asker is plugged in
    on_lan: str = ""  # the bridge or NIC by which it leaves for the LAN, past the host
    unseen: Hop | None = None  # where it passes when no rule of the host sees it
    stopped: bool = False  # the target is a guest that libvirt has, and that does not run
    uplink: str = ""  # the only NIC that the target's network takes connections from, where this one came by another
    isolated: bool = False  # guest_isolation of the network both are in
    nat: bool = False  # libvirt should translate what leaves the network
    between: Between = (None, None)  # the networks that source and target are in
    promise: str = ""  # the verdict that the file promises, and the reason
    reason: str = ""
    legacy: str = ""  # what of the old iptables, which no trace shows, may have stopped it
    drift: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)  # of addresses

    def name(self, address: str) -> str:
        """It, and whose it is."""
        name = self.names.get(address)
        return f"{address} ({name})" if name else address

    @property
    def below(self) -> bool:
        """Whether the kernel passes none of it between a NIC and its macvtaps, where no rule of the host is asked."""
        return self.promise == "no" and any(isinstance(one, Lan) and one.mode == "macvtap" for one in self.between)

    @property
    def ask(self) -> str:
        """The command that follows it."""
        lan = " --lan" if any(isinstance(one, Lan) for one in self.between) else ""
        return f"guestnet why {self.source} {self.target}{lan}"

    @property
    def wanted(self) -> str:
        """What of this the file wants stopped; empty when it promises all."""
        what = {
            "no": "the file wants it so: ",
            "forwards": "the file admits forwards, ",
            "services": "the file admits no more: ",
        }.get(self.promise)
        return f"{what}{self.reason}" if what else ""


@dataclass(frozen=True)
class Why:
    """`hops` are the way, `cause` is one sentence, `todo` what to change; `rule` the one that decided, if one did."""

    hops: tuple[Hop, ...]
    reached: bool
    cause: str
    todo: str = ""
    rule: Step | None = None

    @property
    def lines(self) -> list[str]:
        return lines(self.hops)


@dataclass(frozen=True)
class Followed:
    """What the packet of a cell met that is not as predicted. let_through: of one that nothing stopped."""

    broken_hop: str
    let_through: str
    todo: str

    @property
    def sentence(self) -> str:
        return f"First broken hop: {self.broken_hop}" if self.broken_hop else f"Let through: {self.let_through}"
