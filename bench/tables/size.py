"""What a large file costs: 10,000 forwards of 500 guests, applied for the first time and again, in time and memory.

With libvirtd and a domain for each guest, all of them off: so no forward is in the kernel, and starting them is not
measured (see `hook`).
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict

from bench import world
from bench.inside import WrongError
from bench.table import Bars, Cell, Effort, Goal, Grid, Table
from lab import Lab
from lab.host import GUESTNET, Host

SPEC = "/etc/guestnet/guestnet.yaml"
FIRST, AGAIN, LIST = "apply, the first", "apply, nothing to do", "forward list"
COMMANDS = {
    "check": ["check"],
    "plan, the first": ["plan"],
    FIRST: ["apply", "--yes"],
    AGAIN: ["apply", "--yes"],
    "status": ["status"],
    LIST: ["forward", "list"],
}
SECONDS = {FIRST: 5.0, AGAIN: 2.0, LIST: 0.5}  # the goals
MIB = {LIST: 60.0}
# Runs a command to its end; prints exit code, seconds and MiB. `wait4` knows the memory of this one process.
STOPWATCH = """
import json, os, sys, time
began = time.monotonic()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", 1, 0)])
_, status, used = os.wait4(pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), time.monotonic() - began, used.ru_maxrss / 1024]))
"""
# All in one connection: by virsh it takes minutes.
DEFINE = """
import libvirt, sys
door = libvirt.open("qemu:///system")
for line in sys.stdin:
    name, mac = line.split()
    nic = f"<interface type='network'><source network='lab'/><mac address='{mac}'/><model type='virtio'/></interface>"
    door.defineXML(
        f"<domain type='qemu'><name>{name}</name><memory>65536</memory><os><type arch='x86_64'>hvm</type></os>"
        f"<devices>{nic}</devices></domain>"
    )
"""

Seen = dict[str, list[tuple[float, float]]]  # seconds and MiB, by command


def measure(effort: Effort) -> Table:
    seen: Seen = defaultdict(list)
    with Lab() as lab:
        prepare(lab.host, effort)
        verbs = [name for name, words in COMMANDS.items() if has(lab.host, words[0])]
        for _ in range(effort.runs):
            for name in verbs:
                seen[name].append(run(lab.host, COMMANDS[name]))
            lab.host.guestnet("destroy", "--yes", timeout=300)
    what = f"{effort.forwards} forwards of {effort.guests} guests"
    return Table(
        name="size",
        title=f"size: a file with {what}",
        grids=(grid(seen),),
        goals=tuple(goals(seen)),
        notes=(f"{effort.runs} runs; each guest has a domain, which is off.",),
        bars=(Bars(f"seconds, {what}", {name: middle(seen, name, 0) for name in seen}, " s"),),
    )


def prepare(host: Host, effort: Effort) -> None:
    host.write(SPEC, spec_text(effort.forwards, effort.guests))
    lines = "".join(f"{name(number)} {mac(number)}\n" for number in range(effort.guests))
    host.run([sys.executable, "-c", DEFINE], input=lines, timeout=300)


def spec_text(forwards: int, guests: int) -> str:
    """As people write it: a line a forward. MACs and addresses are written, since no range of DHCP is that large."""
    lines, port = [world.HEAD], world.FIRST
    for number in range(guests):
        lines.append(f"  {name(number)}:\n    network: lab\n    mac: {mac(number)}\n")
        lines.append(
            f"    ipv4: 10.84.{100 + number // 256}.{number % 256}\n    ipv6: '::84:{number + 1:x}'\n    forwards:\n"
        )
        for to in range(forwards // guests):
            lines.append(f"      - {port}:{1000 + to}\n")
            port += 1
    return "".join(lines)


def name(number: int) -> str:
    return f"guest{number}"


def mac(number: int) -> str:
    return f"52:54:00:84:{number // 256:02x}:{number % 256:02x}"


def has(host: Host, verb: str) -> bool:
    return host.guestnet(verb, "--help", check=False).returncode == 0


def run(host: Host, words: list[str]) -> tuple[float, float]:
    done = host.run([sys.executable, "-c", STOPWATCH, GUESTNET, *words], timeout=300)
    code, seconds, mib = json.loads(done.stdout)
    if code:
        raise WrongError(f"guestnet {' '.join(words)}: exit code {code}: {done.stderr}")
    return seconds, mib


def middle(seen: Seen, name: str, which: int) -> float:
    return statistics.median(values[which] for values in seen[name])


def grid(seen: Seen) -> Grid:
    rows: list[dict[str, Cell]] = []
    for name, values in seen.items():
        seconds = [value for value, _ in values]
        row: dict[str, Cell] = {"guestnet": name, "runs": len(values), "p50, s": middle(seen, name, 0)}
        rows.append(row | {"least": min(seconds), "most": max(seconds), "peak, MiB": middle(seen, name, 1)})
    form = dict.fromkeys(("p50, s", "least", "most"), "{:.2f}") | {"peak, MiB": "{:.0f}"}
    return Grid("seconds from start to end, and memory", tuple(rows), form)


def goals(seen: Seen) -> list[Goal]:
    found = []
    for limits, which, unit in ((SECONDS, 0, "s"), (MIB, 1, "MiB")):
        for name, limit in limits.items():
            if name in seen:
                found.append(Goal(f"{name}: at most {limit:g} {unit}", limit, middle(seen, name, which), "p50"))
    return found
