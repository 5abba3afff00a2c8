"""What a guest's start and stop wait for: our hook, against one bare `nft -f` of the same elements.

libvirt runs the hook one operation after the other and waits for each (qemu_process.c, libvirt 9.0):

    start   `prepare begin`, `start begin`, `started begin`
    stop    `stopped end`, `release end`

so `start` and `stop` here are these sums, run by run, each of them a program that is started, given the guest's XML,
and waited for. The bare nft is the least that anybody could do for the same effect.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import inside, peers, world
from bench.inside import Step, Turn, Work, WrongError
from bench.table import Bars, Cell, Effort, Goal, Grid, Table, Times
from bench.world import DOWN, UP
from guestnet.compile import ruleset
from guestnet.spec.world import World
from lab import Lab
from lab.cache import REPOSITORY
from lab.host import Host

XML = Path(__file__).parent.parent / "guest.xml"
MAC = "52:54:00:12:34:56"  # in it
FILES = "/run/bench"  # in the lab's host
NFT = "/usr/sbin/nft"
FLOORS = {
    "python3 -ISE -c pass": ["/usr/bin/python3", "-ISE", "-c", "pass"],
    "nft -f /dev/null": [NFT, "-f", "/dev/null"],
}
START, LOADED = 5.0, 2.0  # the goals

Seconds = dict[str, list[float]]  # of a turn, by step


def measure(effort: Effort, hook: str | None = None) -> Table:
    """The table. `hook`: text measured instead of ours. Raises LabError or WrongError when a run was wrong."""
    seconds: dict[tuple[int, str], Seconds] = defaultdict(lambda: defaultdict(list))
    with ExitStack() as stack:
        host = stack.enter_context(Lab(libvirtd=False)).host
        theirs = {name: stack.enter_context(Lab(libvirtd=False)).host for name, _ in effort.peers}
        for block in range(effort.blocks):
            for others in effort.others:
                _take(seconds, others, measure_block(host, effort, others, hook, block))
                if block == 0 or others == min(effort.others):  # they are slow
                    _take(seconds, others, measure_peers(theirs, effort, others))
    rows = [row(others, size, seconds) for others in effort.others for size in effort.sizes]
    floors = {name: [value for o in effort.others for value in seconds[o, name][name]] for name in FLOORS}
    times = {name: Times.of(values) for name, values in floors.items()}
    return Table(
        name="hook",
        title="hook: what a guest's start and stop wait for, against one bare nft -f of the same elements",
        grids=(*grids(rows, times), *peer_grids(effort, rows, seconds)),
        goals=tuple(goals(rows)),
        notes=(
            "others, forwards: per family; start: prepare, start begin and started together; stop: stopped and release",
        ),
        bars=tuple(bars(effort, rows, seconds)),
    )


def measure_block(host: Host, effort: Effort, others: int, hook: str | None, block: int) -> dict[str, Seconds]:
    """One block of rounds on a host as `apply` leaves it."""
    made = world.made(world.spec_text(effort.sizes, others))
    world.install(host, made, hook)
    present: dict[str, list[str]] = {name: [] for name in ruleset.MAPS}
    for guest in made.guests:
        if guest.name.startswith("other"):
            host.write(f"{world.RUNNING}/{guest.name}.xml", "<domstatus/>")
            for name, items in world.elements(guest).items():
                present[name] += items
    host.write(f"{FILES}/others.nft", world.nft_text(present, "add"))
    host.run([NFT, "-f", f"{FILES}/others.nft"])
    turns = [*contestants(host, made, effort.sizes), *floor_turns()]
    work = Work(turns, present, max(1, effort.rounds // effort.blocks), block)
    argv = [sys.executable, "-m", inside.__name__]
    done = host.run(argv, input=work.text(), timeout=600, env={"PYTHONPATH": str(REPOSITORY)})
    if host.exists(world.LOG):
        raise WrongError(f"the hook had something to complain about:\n{host.read(world.LOG)}")
    for guest in made.guests:
        if guest.name in {world.guest_name(size) for size in effort.sizes} and not world.reserved(host, guest, MAC):
            raise WrongError(f"the hook has not reserved the addresses of {guest.name}")
    found: dict[str, Seconds] = json.loads(done.stdout)
    return found


def measure_peers(hosts: Mapping[str, Host], effort: Effort, others: int) -> dict[str, Seconds]:
    """A round of each, by `name size`."""
    sizes = [size for size in effort.sizes if size <= peers.MOST]
    made = world.made(world.spec_text(effort.sizes, others))
    found = {}
    for name, checkout in effort.peers:
        hosts[name].write(f"{FILES}/guest.xml", XML.read_text())
        for size, steps in peers.measured(hosts[name], checkout, made, sizes, others).items():
            found[f"{name} {size}"] = steps
    return found


def _take(seconds: dict[tuple[int, str], Seconds], others: int, found: dict[str, Seconds]) -> None:
    for turn, steps in found.items():
        for label, values in steps.items():
            seconds[others, turn][label] += values


def contestants(host: Host, made: World, sizes: Iterable[int]) -> list[Turn]:
    host.write(f"{FILES}/guest.xml", XML.read_text())
    guests = {guest.name: guest for guest in made.guests}
    turns = []
    for size in sizes:
        name = world.guest_name(size)
        found = world.elements(guests[name])
        for verb in ("add", "delete"):
            host.write(f"{FILES}/{name}.{verb}", world.nft_text(found, verb))
        bare = {verb: [Step(verb, [NFT, "-f", f"{FILES}/{name}.{verb}"])] for verb in ("add", "delete")}
        up, down = (
            [Step(what, [world.HOOK, name, what, when, "-"], f"{FILES}/guest.xml") for what, when in side]
            for side in (UP, DOWN)
        )
        turns += [Turn(f"nft {size}", bare["add"], bare["delete"], found), Turn(f"hook {size}", up, down, found)]
    return turns


def floor_turns() -> list[Turn]:
    return [Turn(name, [Step(name, argv)], [], {}) for name, argv in FLOORS.items()]


@dataclass(frozen=True)
class Row:
    """What tells the row from others (`others`, `forwards`), its times by column, its ratios of p50 by column."""

    key: dict[str, int]
    times: dict[str, Times]
    ratios: dict[str, float]


def grids(rows: list[Row], floors: dict[str, Times]) -> list[Grid]:
    p50: list[dict[str, Cell]] = []
    p95: list[dict[str, Cell]] = []
    for row in rows:
        p50.append({**row.key, **{name: times.p50 for name, times in row.times.items()}, **row.ratios})
        p95.append({**row.key, **{name: times.p95 for name, times in row.times.items()}})
    form = dict.fromkeys(rows[0].times, "{:.1f}") | dict.fromkeys(rows[0].ratios, "{:.1f}x")
    least: list[dict[str, Cell]] = [
        {"floor": name, "p50": times.p50, "p95": times.p95} for name, times in floors.items()
    ]
    return [
        Grid("p50, ms, and ratios of p50", tuple(p50), form),
        Grid("p95, ms", tuple(p95), form),
        Grid("floors, ms", tuple(least), dict.fromkeys(("p50", "p95"), "{:.1f}")),
    ]


def peer_grids(effort: Effort, rows: list[Row], seconds: dict[tuple[int, str], Seconds]) -> list[Grid]:
    """Their whole start and stop, beside ours."""
    lines: list[dict[str, Cell]] = []
    for row in rows:
        others, size = row.key["others"], row.key["forwards"]
        for name, _ in effort.peers if size <= peers.MOST else ():
            start, stop, runs = _whole(seconds[others, f"{name} {size}"])
            ratio = start / row.times["= start"].p50
            line: dict[str, Cell] = {"peer": name, **row.key, "runs": runs, "= start": start, "= stop": stop}
            lines.append(line | {"guestnet's start": row.times["= start"].p50, "start/guestnet's": ratio})
    form = dict.fromkeys(("= start", "= stop", "guestnet's start"), "{:.0f}") | {"start/guestnet's": "{:.1f}x"}
    return [Grid("the peers' hooks, p50, ms", tuple(lines), form)] if lines else []


def _whole(steps: Seconds) -> tuple[float, float, int]:
    """ms of start and stop, and how many there were."""
    up, down = ({what: steps[what] for what, _ in side} for side in (UP, DOWN))
    return Times.of(_sums(up)).p50, Times.of(_sums(down)).p50, len(up["start"])


def bars(effort: Effort, rows: list[Row], seconds: dict[tuple[int, str], Seconds]) -> list[Bars]:
    found = []
    size = max((size for size in effort.sizes if size <= peers.MOST), default=effort.sizes[0])
    for row in (row for row in rows if row.key["forwards"] == size):
        others = row.key["others"]
        values = {"one nft -f": row.times["nft add"].p50, "guestnet": row.times["= start"].p50}
        values |= {name: _whole(seconds[others, f"{name} {size}"])[0] for name, _ in effort.peers}
        found.append(Bars(f"what a start waits for: {size} forwards, {others} others present", values, " ms", log=True))
    return found


def row(others: int, size: int, seconds: dict[tuple[int, str], Seconds]) -> Row:
    bare, hook = seconds[others, f"nft {size}"], seconds[others, f"hook {size}"]
    up, down = ({what: hook[what] for what, _ in side} for side in (UP, DOWN))
    columns = {
        "nft add": bare["add"],
        "prepare": up["prepare"],
        "start begin": up["start"],
        "started": up["started"],
        "= start": _sums(up),
        "nft delete": bare["delete"],
        "stopped": down["stopped"],
        "release": down["release"],
        "= stop": _sums(down),
    }
    times = {name: Times.of(values) for name, values in columns.items()}
    ratios = {
        "start/nft": times["= start"].p50 / times["nft add"].p50,
        "started/nft": times["started"].p50 / times["nft add"].p50,
        "stop/nft": times["= stop"].p50 / times["nft delete"].p50,
    }
    return Row({"others": others, "forwards": size}, times, {name: round(value, 2) for name, value in ratios.items()})


def goals(rows: list[Row]) -> list[Goal]:
    found = []
    for what, ratio in (("the whole start", "start/nft"), ("started, which loads the elements", "started/nft")):
        worst = max(rows, key=lambda row: row.ratios[ratio])
        text = f"{what}: at most {START:g} times the bare nft"
        found.append(Goal(text, START, worst.ratios[ratio], _where(worst)))
    fewest, most = min(row.key["others"] for row in rows), max(row.key["others"] for row in rows)
    alone = {row.key["forwards"]: row.times["= start"].p50 for row in rows if row.key["others"] == fewest}
    loaded = [row for row in rows if row.key["others"] == most]
    slower = {row.key["forwards"]: row.times["= start"].p50 / alone[row.key["forwards"]] for row in loaded}
    worst = max(loaded, key=lambda row: slower[row.key["forwards"]])
    text = f"the whole start with {most} others present: at most {LOADED:g} times that with {fewest}"
    return [*found, Goal(text, LOADED, round(slower[worst.key["forwards"]], 2), _where(worst))]


def _where(row: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.key.items())


def _sums(steps: Seconds) -> list[float]:
    return [sum(run) for run in zip(*steps.values(), strict=True)]
