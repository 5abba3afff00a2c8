"""Other port-forwarding hooks as contestants: those of libvirt-hook-qemu (iptables) and its forks, from checkouts.

Nothing of theirs is here. Their `hooks` is copied into a lab of its own with a hooks.json of the same forwards as ours,
and run for the same operations. The rules of other guests that are there already are made by `iptables-restore` in
their shape: by the hook itself it would take an hour.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import inside, world
from bench.contestants import iptables_text
from bench.inside import Step, Turn, Work
from guestnet.spec.world import Guest, World
from lab.cache import REPOSITORY
from lab.host import IPV4, IPV6, Host

MOST = 100  # forwards of a guest: each takes four runs of iptables or more, and with 10,000 present 0.1 s each
FOLDER = "/etc/libvirt/hooks"
BRIDGE = "virbr84"
GUEST = "/run/bench/guest.xml"
CHECK = "check"

Seconds = dict[str, list[float]]


def measured(host: Host, checkout: Path, made: World, sizes: Sequence[int], others: int) -> dict[str, Seconds]:
    """One round of the hook in `checkout`, for each guest with so many forwards: seconds by size and operation.

    Raises LabError when its rules are not there after the start, or there after the stop."""
    hook = f"{FOLDER}/hooks"
    text = (checkout / "hooks").read_text()
    programs = {"iptables": (IPV4, "10.84.250.1")}
    if "ip6tables" in text:
        programs["ip6tables"] = (IPV6, "fd84::fa01")
    guests = {guest.name: guest for guest in made.guests}
    chosen = [guests[world.guest_name(size)] for size in sizes]
    host.write(hook, text, mode=0o755)
    host.write(f"{FOLDER}/hooks.json", json.dumps({guest.name: entry(guest) for guest in chosen}))
    for program, (asked, own) in programs.items():
        host.run([f"{program}-restore"], input=iptables_text(others, asked, own))
    turns = [turn(hook, guest.name, size, tuple(programs)) for guest, size in zip(chosen, sizes, strict=True)]
    argv = [sys.executable, "-m", inside.__name__]
    given = Work(turns, {}, rounds=1, seed=others, spare=0).text()
    done = host.run(argv, input=given, timeout=900, env={"PYTHONPATH": str(REPOSITORY)})
    found: dict[str, Seconds] = json.loads(done.stdout)
    return found


def entry(guest: Guest) -> dict[str, object]:
    """A guest's forwards, as their hooks.json has them."""
    nic = guest.nics[0]
    four = [forward for forward in guest.forwards if forward.target.version == 4]  # noqa: PLR2004  each has a twin
    pairs = [
        [forward.ports.first + shift, forward.to.first + shift]
        for forward in four
        for shift in range(len(forward.ports))
    ]
    return {
        "interface": BRIDGE,
        "private_ip": str(nic.ipv4),
        "private_ipv6": str(nic.ipv6),
        "port_map": {"tcp": pairs},
    }


def turn(hook: str, name: str, size: int, programs: tuple[str, ...]) -> Turn:
    up, down = (
        [Step(what, [hook, name, what, when, "-"], GUEST) for what, when in side] for side in (world.UP, world.DOWN)
    )
    there = " && ".join(f"test $({program} -w -t nat -S DNAT-{name} | grep -c ^-A) = {size}" for program in programs)
    gone = " && ".join(f"! {program} -w -t nat -S DNAT-{name}" for program in programs)
    return Turn(
        str(size), [*up, Step(CHECK, ["/bin/sh", "-c", there])], [*down, Step("gone", ["/bin/sh", "-c", gone])], {}
    )
