"""Short-lived ends to measure with: network namespaces plugged into bridges, one outside, the host itself, and another
machine. Those on the LAN are `probelan`'s.

Each end is a `probework` process that holds its namespace: when it goes, the namespace and its NIC go with it. Nothing
else is left, but for rules that whoever makes them asks the host's end to take away.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any

from guestnet.host.run import ProgramError, Talk, run
from guestnet.words.families import IPV6
from guestnet.words.problems import GuestnetError

WORKER = Path(__file__).with_name("probework.py")
# RFC 2544 and RFC 5180: for measurements, in nobody's use
OUTSIDE4, OUTSIDE6 = "198.19.255.2/30", "2001:2:0:ffff::2/64"
BEFORE4, BEFORE6 = "198.19.255.1/30", "2001:2:0:ffff::1/64"
_DUPLICATES = 5.0  # seconds
NIC = "probe"  # inside a namespace
# Takes the program from its input up to a zero byte, so nothing is written there. It has no single quote in it.
_LOADER = 'import os;exec(b"".join(iter(lambda:os.read(0,1)or bytes(1),bytes(1))))'
_SSH = (
    *("ssh", "-T", "-a", "-x", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ControlMaster=no"),
    *("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=2"),  # so that nobody waits for one that is gone
)
_START = 30  # seconds that another machine may take to let us in and start a program

Interface = IPv4Interface | IPv6Interface


@dataclass
class End:
    """Where it is is known by its worker; `addresses` by family (4, 6), `port` is where it answers on TCP and UDP."""

    talk: Talk
    addresses: dict[int, str]
    port: int = 0
    link: str = ""  # its NIC's other end on the host; NIC when that has none
    seen: bool = False  # the host spoke with its addresses
    near: dict[int, str] = field(default_factory=dict)  # link-local ones, for who is on the same link
    routers: dict[int, str] = field(default_factory=dict)  # that the LAN named
    lease: Talk | None = None  # who holds its address of the LAN

    def listen(self, addresses: list[str]) -> None:
        """Answer there, on one port for all. Raises GuestnetError, also while an address is still being checked."""
        self.port = int(self.talk.say(do="listen", addresses=addresses)["port"])

    def ask(self, questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """All at once; an answer for each, see probework."""
        return list(self.talk.say(do="ask", all=questions)["answers"]) if questions else []

    def inside(self, *argv: str, given: str | None = None) -> str:
        """What a program says in its namespace."""
        return run("nsenter", "-t", str(self.talk.pid), "-n", "--", *argv, given=given)

    def close(self) -> None:
        """It is gone when this returns; a namespace by itself goes a little after its last process."""
        if self.lease:
            self.lease.close()  # which gives the address back, and needs the NIC for that
        with contextlib.suppress(ProgramError):  # not made yet
            if self.link == NIC:
                self.inside("ip", "link", "delete", NIC)
            elif self.link:
                run("ip", "link", "delete", self.link)
        for address in self.addresses.values() if self.seen else ():
            _forget(address)
        self.talk.close()


def _forget(address: str) -> None:
    """The host forgets who had the address, or it would seem taken."""
    with contextlib.suppress(ProgramError, ValueError):
        for entry in json.loads(run("ip", "-j", "neigh", "show", address) or "[]"):
            run("ip", "neigh", "delete", address, "dev", entry["dev"])


def here() -> End:
    """The host itself; it asks from whichever address the kernel chooses."""
    return End(Talk(sys.executable, "-ISE", str(WORKER)), {4: "", 6: ""})


def elsewhere(place: str) -> End:
    """On another machine, as whoever ssh lets us be there. place: as ssh has it, `HOST` or `USER@HOST`.

    Raises GuestnetError when ssh does not let us in, or no Python is there.
    """
    # ssh hands one line to a shell there, whichever that is.
    talk = Talk(*_SSH, "--", place, f"python3 -ISE -c '{_LOADER}'", keep=("SSH_AUTH_SOCK",))
    try:
        talk.give(WORKER.read_text() + "\0" + json.dumps({"do": "listen", "addresses": []}) + "\n")
        talk.hear(within=_START)
    except GuestnetError as error:
        said = talk.last_words() or error.what
        talk.close()
        raise GuestnetError(
            f"no probe could be started on {place}: {said}",
            f"this has to work for root, without a question: ssh {place} python3 --version",
        ) from error
    except BaseException:
        talk.close()
        raise
    return End(talk, {4: "", 6: ""})


def plug(link: str, bridge: str, addresses: list[Interface], routers: list[str], *, isolated: bool) -> End:
    """As a guest: a NIC in `bridge` with these addresses, and these routers. `link` is the NIC's name on the host."""
    end = _addressed(link, addresses, routers)
    try:
        end.seen = True
        into(link, bridge, isolated=isolated)
    except BaseException:
        end.close()
        raise
    return end


def into(link: str, bridge: str, *, isolated: bool) -> None:
    run("ip", "link", "set", link, "master", bridge, "up")
    if isolated:
        # As libvirt does with guests' taps for <port isolated='yes'/>.
        run("bridge", "link", "set", "dev", link, "isolated", "on")


def outside(link: str) -> End:
    """As a machine behind a NIC of the host: reached, and reaching, by way of addresses that are nobody's."""
    routers = [text.partition("/")[0] for text in (BEFORE4, BEFORE6)]
    end = _addressed(link, [IPv4Interface(OUTSIDE4), IPv6Interface(OUTSIDE6)], routers)
    try:
        batch = f"addr add {BEFORE4} dev {link}\naddr add {BEFORE6} dev {link} nodad\nlink set {link} up\n"
        run("ip", "-batch", "-", given=batch)
    except BaseException:
        end.close()
        raise
    return end


def namespace(link: str) -> End:
    """An end in a network namespace of its own, with nothing in that yet."""
    end = End(Talk("unshare", "--net", sys.executable, "-ISE", str(WORKER)), {}, link=link)
    try:
        end.listen([])  # it has answered: unshare is done
    except BaseException:
        end.close()
        raise
    return end


def _addressed(link: str, addresses: list[Interface], routers: list[str]) -> End:
    end = namespace(link)
    end.addresses = {one.version: str(one.ip) for one in addresses}
    try:
        run("ip", "link", "add", link, "type", "veth", "peer", "name", NIC, "netns", str(end.talk.pid))
        lines = ["link set lo up", f"link set {NIC} up"]
        lines += [f"addr add {one} dev {NIC}{' nodad' if one.version == IPV6 else ''}" for one in addresses]
        lines += [f"route add default via {router} dev {NIC}" for router in routers]
        end.inside("sysctl", "-qw", "net.ipv6.conf.all.accept_ra=0", f"net.ipv6.conf.{NIC}.accept_ra=0")
        end.inside("ip", "-batch", "-", given="\n".join(lines) + "\n")
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
