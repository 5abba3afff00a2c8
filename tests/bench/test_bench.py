"""`make bench` with little of everything: its parts are there, and a hook that does not do its work is found out."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import maps, results, roads, world
from bench.inside import Step, Turn, Work, WrongError
from bench.table import Bars, Effort, Goal, Grid, Table, Times
from bench.tables import TABLES, hook, size
from lab import LabError

TINY = Effort(sizes=(1, 3), others=(0, 5), rounds=1, blocks=1, turns=2, forwards=3, guests=3, runs=1)


def test_percentiles_are_of_milliseconds() -> None:
    assert Times.of([0.003, 0.001, 0.002]) == Times(p50=2, p95=3, runs=3)
    assert Times.of([n / 1000 for n in range(1, 101)]).p95 == pytest.approx(96, abs=1)


def test_a_goal_at_its_limit_is_met() -> None:
    assert Goal("this", 5, 5.0, "here").text() == "met     this: worst 5.0 of 5, here"
    assert Goal("this", 5, 5.1, "here").text() == "MISSED  this: worst 5.1 of 5, here"


def test_elements_are_told_as_the_kernel_has_them() -> None:
    found = maps.encoded({"any4": ["tcp . 4023 : 192.168.84.10 . 22"], "any6": ["udp . 1 : fd00::10 . 2"], "on4": []})
    assert found["any4"] == {(bytes([6, 0, 0, 0, 15, 183, 0, 0]), bytes([192, 168, 84, 10, 0, 22, 0, 0]))}
    assert found["any6"] == {(bytes([17, 0, 0, 0, 0, 1, 0, 0]), bytes([0xFD, *[0] * 14, 0x10, 0, 2, 0, 0]))}
    assert found["on4"] == set()


def test_the_world_has_as_many_forwards_as_asked_for() -> None:
    guests = {guest.name: world.elements(guest) for guest in world.made(world.spec_text((1, 1000), 150)).guests}
    counted = {name: {key: len(items) for key, items in found.items()} for name, found in guests.items()}
    assert counted == {
        "guest1": {"any4": 1, "any6": 1},
        "guest1000": {"any4": 1000, "any6": 1000},
        "other0": {"any4": 100, "any6": 100},
        "other100": {"any4": 50, "any6": 50},
    }


def test_results_are_a_table_and_a_plot(tmp_path: Path) -> None:
    bars = Bars("a & b", {"floor": 1.0, "guestnet": 10.0}, " ms", log=True)
    grid = Grid("numbers", ({"": "a", "n": 1.25},), {"n": "{:.1f}"})
    results.write(tmp_path, {"cores": 2}, [Table("t", "title", (grid,), bars=(bars,))])
    assert "| a | 1.2 |" in (tmp_path / "tables.md").read_text()
    plot = ElementTree.parse(tmp_path / "plot.svg").getroot()  # noqa: S314  our own
    assert [text.text for text in plot.iter("{http://www.w3.org/2000/svg}text")][:3] == [
        "a & b, logarithmic",
        "floor",
        "1 ms",
    ]


def test_a_peer_that_is_not_there_is_refused(repo: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "bench", "--peer", f"old={tmp_path}"]
    done = subprocess.run(argv, cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"there is no {tmp_path}/hooks" in done.stderr


@pytest.mark.lab
def test_a_peer_that_does_nothing_does_not_look_fast(tmp_path: Path) -> None:
    (tmp_path / "hooks").write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises((LabError, WrongError), match="DNAT-guest1"):
        hook.measure(Effort(sizes=(1,), others=(0,), rounds=1, blocks=1, peers=(("idle", tmp_path),)))


@pytest.mark.lab
def test_the_table_of_size() -> None:
    table = TABLES["size"](TINY)
    assert {row["guestnet"] for row in table.grids[0].rows} >= {size.FIRST, size.AGAIN}
    assert all(float(row["peak, MiB"]) > 10 for row in table.grids[0].rows)


def test_work_goes_through_text_unchanged() -> None:
    work = Work([Turn("a", [Step("up", ["/bin/true"], "/x")], [], {"any4": ["1 : 2"]})], {"any4": []}, 3, 84)
    assert Work.of(json.loads(work.text())) == work


@pytest.mark.lab
def test_the_hook_table() -> None:
    table = TABLES["hook"](TINY)
    p50, p95, floors = (grid.rows for grid in table.grids)
    keys = [{"others": others, "forwards": size} for others in TINY.others for size in TINY.sizes]
    assert [{name: row[name] for name in ("others", "forwards")} for row in p50] == keys
    for row in p95:
        assert all(float(value) > 0 for name, value in row.items() if name not in ("others", "forwards"))
    assert {"start/nft", "started/nft", "stop/nft"} < p50[0].keys()
    assert [row["floor"] for row in floors] == list(hook.FLOORS)
    assert len(table.goals) == 3
    assert json.loads(json.dumps(table.data()))["grids"][0]["rows"][0]["forwards"] == 1
    assert all(name in table.text() for name in (*p50[0], *hook.FLOORS))


@pytest.mark.lab
@pytest.mark.parametrize("name", ["connections", "throughput"])
def test_the_tables_of_packets(name: str) -> None:
    table = TABLES[name](TINY)
    for grid in table.grids:
        assert [row["family"] for row in grid.rows] == ["IPv4"] * 8 + ["IPv6"] * 8
        assert grid.rows[0]["ratio"] == 1
        assert all(float(row["p50"]) > 0 and float(row["least"]) <= float(row["most"]) for row in grid.rows)
    assert all(goal.worst > 0 and goal.least for goal in table.goals)


@pytest.mark.lab
def test_a_road_that_leads_nowhere_does_not_look_fast() -> None:
    with (
        roads.built({"closed": lambda _: (1, 1)}) as built,
        closing(roads.Pace(built[0])) as pace,
        pytest.raises(WrongError, match="closed, IPv4, connections: pace: connect: Connection refused"),
    ):
        pace.turn(built[0], "connections", 4, 1)


@pytest.mark.lab
def test_the_list_table() -> None:
    table = TABLES["list"](Effort(sizes=(), others=(200,), rounds=1, blocks=1))
    (grid,) = table.grids
    assert [(row["forwards"], row["guests"], row["form"]) for row in grid.rows] == [
        (200, 10, "table"),
        (200, 10, "json"),
    ]
    assert [goal.met for goal in table.goals][1:] == [True]
    assert "forwards 200" in table.text()


@pytest.mark.lab
@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("exit 0", "after hook 1: prepare, start, started: map any4 lacks 1 elements"),
        ("case $2 in stopped|release) exit 0;; esac", "after hook 1: stopped, release: map any4 lacks 0 elements"),
        ("case $2 in prepare) exit 0;; esac", "the hook has not reserved the addresses of guest1"),
        ("mkdir -p /var/log/guestnet; echo trouble >>/var/log/guestnet/hook.log", "complain about:\ntrouble"),
        ("case $2 in release) exit 1;; esac", "50-guestnet guest1 release end -: exit code 1"),
    ],
    ids=["does nothing", "takes nothing away", "reserves nothing", "complains", "fails"],
)
def test_a_broken_hook_does_not_look_fast(before: str, said: str) -> None:
    """The product's hook, with a line of shell before it."""
    program = 'import sys; sys.path.insert(0, "/var/lib/guestnet"); from hook import run; run()'
    broken = f"#!/bin/sh\n{before}\nexec /usr/bin/python3 -ISEXutf8 -c '{program}' \"$@\"\n"
    with pytest.raises((LabError, WrongError)) as found:
        hook.measure(Effort(sizes=(1,), others=(0,), rounds=1, blocks=1), broken)
    assert said in str(found.value)


def test_a_table_that_is_not_there_is_refused(repo: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "nothing"], cwd=repo, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "there is no table nothing; there are: hook, connections, throughput, size, list" in done.stderr
