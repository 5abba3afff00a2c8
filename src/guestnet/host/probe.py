"""Short-lived ends to measure with: network namespaces plugged into bridges, one outside, and the host itself.

Each end is a `probework` process that holds its namespace: when it goes, the namespace and its NIC go with it. Nothing
else is left, but for rules that whoever makes them asks the host's end to take away.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any

from guestnet.host.run import ProgramError, Talk, run

WORKER = Path(__file__).with_name("probework.py")
# RFC 2544 and RFC 5180: for measurements, in nobody's use
OUTSIDE4, OUTSIDE6 = "198.19.255.2/30", "2001:2:0:ffff::2/64"
BEFORE4, BEFORE6 = "198.19.255.1/30", "2001:2:0:ffff::1/64"
_DUPLICATES = 5.0  # seconds
_NIC = "probe"  # inside a namespace

Interface = IPv4Interface | IPv6Interface


@dataclass
class End:
    """Where it is is known by its worker; `addresses` by family (4, 6), `port` is where it answers on TCP and UDP."""

    talk: Talk
    addresses: dict[int, str]
    port: int = 0
    link: str = ""  # its NIC's other end on the host
    bridge: str = ""  # that this is plugged into

    def listen(self, addresses: list[str]) -> None:
        """Answer there, on one port for all. Raises GuestnetError, also while an address is still being checked."""
        self.port = int(self.talk.say(do="listen", addresses=addresses)["port"])

    def ask(self, questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """All at once; an answer for each, see probework."""
        return list(self.talk.say(do="ask", all=questions)["answers"]) if questions else []

    def close(self) -> None:
        """It is gone when this returns; a namespace by itself goes a little after its last process."""
        if self.link:
            with contextlib.suppress(ProgramError):  # not made yet
                run("ip", "link", "delete", self.link)
        for address in self.addresses.values() if self.bridge else ():
            with contextlib.suppress(ProgramError):  # the host forgets who had the address, or it would seem taken
                run("ip", "neigh", "delete", address, "dev", self.bridge)
        self.talk.close()


def here() -> End:
    """The host itself; it asks from whichever address the kernel chooses."""
    return End(Talk(sys.executable, "-ISE", str(WORKER)), {4: "", 6: ""})


def plug(link: str, bridge: str, addresses: list[Interface], routers: list[str], *, isolated: bool) -> End:
    """As a guest: a NIC in `bridge` with these addresses, and these routers. `link` is the NIC's name on the host."""
    end = _namespace(link, addresses, routers)
    try:
        end.bridge = bridge
        run("ip", "link", "set", link, "master", bridge, "up")
        if isolated:
            # As libvirt does with guests' taps for <port isolated='yes'/>.
            run("bridge", "link", "set", "dev", link, "isolated", "on")
    except BaseException:
        end.close()
        raise
    return end


def outside(link: str) -> End:
    """As a machine behind a NIC of the host: reached, and reaching, by way of addresses that are nobody's."""
    routers = [text.partition("/")[0] for text in (BEFORE4, BEFORE6)]
    end = _namespace(link, [IPv4Interface(OUTSIDE4), IPv6Interface(OUTSIDE6)], routers)
    try:
        batch = f"addr add {BEFORE4} dev {link}\naddr add {BEFORE6} dev {link} nodad\nlink set {link} up\n"
        run("ip", "-batch", "-", given=batch)
    except BaseException:
        end.close()
        raise
    return end


def _namespace(link: str, addresses: list[Interface], routers: list[str]) -> End:
    talk = Talk("unshare", "--net", sys.executable, "-ISE", str(WORKER))
    end = End(talk, {one.version: str(one.ip) for one in addresses}, link=link)
    try:
        talk.say(do="listen", addresses=[])  # it has answered: unshare is done
        run("ip", "link", "add", link, "type", "veth", "peer", "name", _NIC, "netns", str(talk.pid))
        lines = ["link set lo up", f"link set {_NIC} up"]
        lines += [f"addr add {one} dev {_NIC}{' nodad' if one.version == 6 else ''}" for one in addresses]  # noqa: PLR2004
        lines += [f"route add default via {router} dev {_NIC}" for router in routers]
        enter = ("nsenter", "-t", str(talk.pid), "-n", "--")
        run(*enter, "sysctl", "-qw", "net.ipv6.conf.all.accept_ra=0", f"net.ipv6.conf.{_NIC}.accept_ra=0")
        run(*enter, "ip", "-batch", "-", given="\n".join(lines) + "\n")
    except BaseException:
        end.close()
        raise
    return end


def settle(bridges: list[str]) -> None:
    """Waits until the bridges have made sure that their IPv6 addresses are nobody else's, which one does that had no
    port until now; for a second or two (RFC 4862), and not for ever."""
    last = time.monotonic() + _DUPLICATES
    while time.monotonic() < last:
        if not any(run("ip", "-6", "-o", "addr", "show", "dev", bridge, "tentative") for bridge in bridges):
            return
        time.sleep(0.1)


def forwarding_delay(bridge: str) -> float:
    """Seconds until a new port of the bridge passes packets: with STP it listens and learns first."""
    folder = Path("/sys/class/net") / bridge / "bridge"
    try:
        stp = (folder / "stp_state").read_text().strip() != "0"
        return 2 * int((folder / "forward_delay").read_text()) / 100 + 0.2 if stp else 0.0
    except OSError:
        return 0.0
