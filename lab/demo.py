"""`make demo`: guestnet from an empty host to a real guest that is reached from outside, on one screen.

Everything happens in a throw-away lab. Each line that is shown was measured then and there, and checked: the exit code
is 1 when anything is not as it should be, the machine's own network included.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from lab import Lab, machine
from lab.cache import REPOSITORY
from lab.errors import LabError
from lab.guest import RealGuest
from lab.host import IPV4, IPV6
from lab.inet import ROUTER4, ROUTER6
from lab.probe import Answer

SEED = REPOSITORY / "examples" / "seed.yaml"
FILE = "/etc/guestnet/guestnet.yaml"
CLIENT4, CLIENT6 = "203.0.113.9", "2001:db8:1::9"
PORT = 4023
NAME = "echo.example"  # of the fake internet; both families
INBOUND = [(CLIENT4, IPV4), (CLIENT6, IPV6)]


class Show:
    """Prints, and remembers what was not as it should be."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def title(self, text: str) -> None:
        print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)

    def line(self, what: str, seen: str, right: bool) -> None:
        print(f"  {what:<58} {seen}{'' if right else '   <- WRONG'}", flush=True)
        if not right:
            self.wrong.append(what)


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # so that the lab is taken down
    if os.geteuid() != 0:
        print("the demo makes network namespaces: run it as root", file=sys.stderr)
        return 1
    before = machine.snapshot()
    show = Show()
    started = time.monotonic()
    try:
        with Lab(uplink="static") as lab:
            print(
                f"a throw-away world: a fake internet, and the host {lab.host.name} with libvirt and nothing else on it"
            )
            run(lab, show)
    except KeyboardInterrupt:
        print("\ninterrupted; the lab is gone", file=sys.stderr)
        return 130
    except LabError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone
        return 1
    changes = machine.differences(before, machine.snapshot())
    for changed in changes:
        show.line("the machine's own network was changed", changed, right=False)
    after = "" if changes else ", the machine's own network is as it was"
    show.title(f"all of it in {time.monotonic() - started:.0f} s; the lab is gone{after}")
    for what in show.wrong:
        print(f"WRONG: {what}", file=sys.stderr)
    return 1 if show.wrong else 0


def run(lab: Lab, show: Show) -> None:
    lab.host.write(FILE, SEED.read_text())
    guest = lab.host.define_guest("web1", "lab", "52:54:00:12:34:56")
    plan = command(lab, show, "plan")
    command(lab, show, "apply", "--yes", steps=True)
    lab.host.libvirtd.restart()  # its first hook is there now: libvirt looks for hooks when it starts
    show.title("web1 starts, a real guest under QEMU")
    began = time.monotonic()
    guest.start()
    ipv4, ipv6 = guest.wait_addresses()
    show.line("web1 has", f"{ipv4}  {ipv6}  after {time.monotonic() - began:.0f} s", f"{ipv4} {ipv6} " in plan)
    show.title(f"from the internet to web1, through port {PORT} of the host (the guest says whom it sees)")
    inbound(lab, show, lambda client: f"web1 tcp 22 from {client}")
    show.title("from web1 to the internet (the far side says whom it sees: SNAT and NAT66)")
    outbound(guest, show)
    first_choice(lab, guest, show)
    command(lab, show, "reach", "--probe", expect="as predicted")
    show.title("web1 is shut off; the same connections")
    guest.destroy()
    inbound(lab, show, None)
    command(lab, show, "apply", "--yes", expect="Nothing to do")


def command(lab: Lab, show: Show, *words: str, expect: str = "", steps: bool = False) -> str:
    """Run guestnet and show what it says; with `steps`, of an apply only the steps, its plan was shown before."""
    show.title(f"$ guestnet {' '.join(words)}")
    done = lab.host.guestnet(*words, check=False)
    text = done.stderr if steps else done.stdout
    print("\n".join(f"  {line}" for line in text.splitlines() if line), flush=True)
    if done.returncode or expect not in done.stdout:
        show.wrong.append(f"guestnet {' '.join(words)}: exit code {done.returncode}")
    return text


def inbound(lab: Lab, show: Show, answer: object) -> None:
    for client, address in INBOUND:
        got = lab.inet.probe("tcp", address, PORT, source=client)
        if callable(answer):
            show.line(f"{client} -> {address} port {PORT}", got.text, got.text == answer(client))
        else:
            show.line(f"{client} -> {address} port {PORT}", said(got), got.kind == "refused")


def outbound(guest: RealGuest, show: Show) -> None:
    for router, host in ((ROUTER4, IPV4), (ROUTER6, IPV6)):
        got = guest.probe("tcp", router, 7)
        show.line(f"web1 -> {router} port 7", said(got), got.text == f"inet tcp 7 from {host}")


def first_choice(lab: Lab, guest: RealGuest, show: Show) -> None:
    """Address selection: IPv4 first, our fix, IPv6 first, and used."""
    show.title(f"web1 looks up {NAME} (getent ahosts) and connects to what comes first")
    looked_up(guest, show, (ROUTER4, IPV4))
    command(lab, show, "prefer-ipv6", "web1", "--name", NAME, expect="is written")
    show.title("the same again")
    looked_up(guest, show, (ROUTER6, IPV6))


def looked_up(guest: RealGuest, show: Show, wanted: tuple[str, str]) -> None:
    """wanted: what comes first, and from where the far side is to see the guest come."""
    lines = guest.run(["getent", "ahosts", NAME]).stdout.splitlines()
    first, second = dict.fromkeys(line.split()[0] for line in lines)
    got = guest.probe("tcp", first, 7)
    show.line(
        f"{NAME} is {first}, {second}", said(got), (first, got.text) == (wanted[0], f"inet tcp 7 from {wanted[1]}")
    )


def said(got: Answer) -> str:
    return got.text if got.kind == "answered" else f"{got.kind} ({got.text}) in {got.seconds:.2f} s"


if __name__ == "__main__":
    sys.exit(main())
