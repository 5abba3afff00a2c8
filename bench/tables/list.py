"""What `guestnet forward list` takes: time and memory, with the forwards of many guests, nine in ten of which run."""

from __future__ import annotations

import json
from dataclasses import replace

from bench import world
from bench.inside import WrongError
from bench.table import Cell, Effort, Goal, Grid, Table, Times
from guestnet.compile import nft, ruleset
from guestnet.decide.state import APPLIED
from guestnet.spec import load
from guestnet.spec.show import applied
from guestnet.spec.world import World
from lab import Lab
from lab.host import GUESTNET, Host

EACH = 20  # forwards of a guest, each of both families
MS, MIB = 500.0, 60.0  # the goals
KIB = 1024
# In the lab's host: seconds, those of the processor, largest memory in KiB, exit status of each run.
CLOCK = """
import json, os, sys, time
found = []
for _ in range(int(sys.argv[1])):
    begin = time.monotonic()
    pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ,
                         file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    _, status, used = os.wait4(pid, 0)
    found.append([time.monotonic() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss, status])
print(json.dumps(found))
"""
FORMS: dict[str, list[str]] = {"table": [], "json": ["--format", "json"]}


def measure(effort: Effort) -> Table:
    """A row for each number of forwards and form. Raises LabError or WrongError when a run was wrong."""
    rows: list[dict[str, Cell]] = []
    with Lab(libvirtd=False) as lab:
        for forwards in filter(None, effort.others):
            guests = prepare(lab.host, forwards)
            for form, words in FORMS.items():
                argv = [GUESTNET, "forward", "list", *words]
                check(lab.host, forwards)
                done = lab.host.run(["/usr/bin/python3", "-c", CLOCK, str(effort.rounds), *map(str, argv)], timeout=600)
                runs = json.loads(done.stdout)
                if any(status for *_, status in runs):
                    raise WrongError(f"forward list {' '.join(words)} failed")
                wall, cpu = (Times.of([run[i] for run in runs]) for i in (0, 1))
                memory = max(kib / KIB for _, _, kib, _ in runs)
                row: dict[str, Cell] = {"forwards": forwards, "guests": guests, "form": form}
                rows.append(row | {"ms p50": wall.p50, "ms p95": wall.p95, "cpu ms": cpu.p50, "MiB": round(memory, 1)})
    return Table(
        name="list",
        title="list: guestnet forward list",
        grids=(Grid("", tuple(rows)),),
        goals=tuple(goals(rows)),
        notes=(f"forwards: of {EACH} to a guest, each of both families; memory: the largest of any run",),
    )


def prepare(host: Host, forwards: int) -> int:
    """A host on which they were applied; the number of guests."""
    names = [f"vm{number}" for number in range(forwards // EACH)]
    text = world.HEAD.replace("'fd84::1/64'", "{address: 'fd84::1/64', ranges: ['::10-::ffff']}")
    for number, name in enumerate(names):
        first = world.FIRST + EACH * number
        its = ", ".join(f"{first + i}:{1000 + i}" for i in range(EACH))
        text += f"  {name}: {{network: {world.NETWORK}, forwards: [{its}]}}\n"
    made = world.made(text)
    world.install(host, made)
    host.write(APPLIED, applied(load.load_spec(text, "bench.yaml"), made))
    running = replace(made, guests=tuple(guest for i, guest in enumerate(made.guests) if i % 10))
    for guest in running.guests:
        host.write(f"{world.RUNNING}/{guest.name}.xml", "<domstatus/>")
    host.write("/run/bench/all.nft", script(running))
    host.run(["nft", "-f", "/run/bench/all.nft"])
    return len(names)


def script(running: World) -> str:
    """Their elements, and a flow for each second forward."""
    merged = ruleset.merge(ruleset.elements(guest.forwards) for guest in running.guests)
    ports = [key.split(" . ")[1].split(" ")[0] for key in merged.get("any4", ())][::2]
    flows = {"flows4": tuple(f"203.0.113.2 . tcp . {port}" for port in ports)}
    return nft.add_elements(merged) + nft.add_elements(flows)


def check(host: Host, forwards: int) -> None:
    found = json.loads(host.guestnet("forward", "list", "--format", "json").stdout)["forwards"]
    wrong = sum(one["state"] not in ("active", "guest off") for one in found)
    if len(found) != forwards // EACH * EACH or wrong:
        raise WrongError(f"forward list has {len(found)} of {forwards} forwards, {wrong} of them as drift")


def goals(rows: list[dict[str, Cell]]) -> list[Goal]:
    most = [row for row in rows if row["forwards"] == rows[-1]["forwards"]]
    slowest = max(most, key=lambda row: float(row["ms p50"]))
    where = f"forwards {slowest['forwards']}"
    return [
        Goal(f"time: at most {MS:g} ms", MS, float(slowest["ms p50"]), f"{where}, {slowest['form']}"),
        Goal(f"memory: at most {MIB:g} MiB", MIB, max(float(row["MiB"]) for row in most), where),
    ]
