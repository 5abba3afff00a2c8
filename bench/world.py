"""A host on which `apply` has been, without libvirt: the product's own texts, where it puts them.

The file is YAML as a user would write it; it goes through the product's own reading, resolving and compiling.
"""

from __future__ import annotations

import random

from guestnet.act.survey import hook_text
from guestnet.compile import dhcp, hookdata, hookfront, nft, ruleset
from guestnet.decide import admit
from guestnet.decide.desired import ADMIT_FILE, HOOKS
from guestnet.spec import load
from guestnet.spec.memory import Memory
from guestnet.spec.resolve import Taken, resolve
from guestnet.spec.world import Guest, World
from lab.host import Host

HOOK = HOOKS[0]
LOG = "/var/log/guestnet/hook.log"
RUNNING = "/run/libvirt/qemu"
UP = (("prepare", "begin"), ("start", "begin"), ("started", "begin"))  # what libvirt runs a hook for at a start
DOWN = (("stopped", "end"), ("release", "end"))
OTHERS_EACH = 100  # forwards a guest has that is only there
FIRST, FIRST_OTHER = 10_000, 20_000  # ports of the host

NETWORK = "lab"  # as in guest.xml
HEAD = f"""\
networks:
  {NETWORK}: {{mode: nat, bridge: virbr84, ipv4: 10.84.0.1/16, ipv6: 'fd84::1/64'}}
guests:
"""


def guest_name(size: int) -> str:
    return f"guest{size}"


def spec_text(sizes: tuple[int, ...], others: int) -> str:
    """The file: a guest for each of `sizes`, with so many forwards, and guests that have `others` forwards together.

    No MAC is written, as in most files: then the hook's `prepare` has the most to do.
    """
    lines, port = [], FIRST
    for size in sizes:
        lines.append(_guest(guest_name(size), port, size))
        port += size
    for begin in range(0, others, OTHERS_EACH):
        lines.append(_guest(f"other{begin}", FIRST_OTHER + begin, min(OTHERS_EACH, others - begin)))
    return HEAD + "".join(lines)


def made(text: str) -> World:
    spec = load.load_spec(text, "bench.yaml")
    # The same each time: nothing here is for a real host.
    return resolve(spec, Memory(), random=random.Random(84), taken=Taken(), macs={})[0]  # noqa: S311  not a secret


def install(host: Host, world: World, hook: str | None = None) -> None:
    """Hook, what it needs, table and admit rules, as `apply` leaves them; no forward is in force. `hook`: not ours."""
    folders = f"{RUNNING} {dhcp.hosts_folder(NETWORK)}"
    host.shell(f"rm -rf {hookdata.FOLDER} {folders}; mkdir -p {folders}")
    host.write(HOOK, hook or hookfront.text(), mode=0o755)
    host.write(hookfront.PROGRAM, hook_text())
    host.write(hookdata.TABLE_FILE, ruleset.table(world))
    host.write(ADMIT_FILE, admit.hook_file(world, Memory()))
    for guest in world.guests:
        host.write(f"{hookdata.GUESTS}/{dhcp.file_name(guest.name)}", hookdata.guest_file(guest))
    host.run(["nft", "-f", hookdata.TABLE_FILE])
    for program in ("iptables", "ip6tables"):
        host.run([program, "-F", "FORWARD"])
        host.run([program, "-I", "FORWARD", *ruleset.admit_rule()])


def reserved(host: Host, guest: Guest, mac: str) -> bool:
    """Whether the guest's addresses are reserved for this MAC, as its hook does at `prepare`."""
    nic = guest.nics[0]
    path = f"{dhcp.hosts_folder(nic.network)}/{dhcp.file_name(guest.name)}"
    return host.exists(path) and host.read(path) == dhcp.line(mac, nic.ipv4, nic.ipv6, guest.name)


def elements(guest: Guest) -> dict[str, list[str]]:
    """The guest's forwards as elements, by map."""
    return {name: list(items) for name, items in ruleset.elements(guest.forwards).items()}


def nft_text(found: dict[str, list[str]], verb: str) -> str:
    """`add` or `delete` them, in one transaction."""
    return "".join(
        f"{verb} element {nft.FAMILY_TABLE} {name} {{ {', '.join(items)} }}\n" for name, items in found.items() if items
    )


def _guest(name: str, port: int, size: int) -> str:
    return f"  {name}: {{network: {NETWORK}, forwards: ['{port}-{port + size - 1}:1001-{1000 + size}']}}\n"
