"""What a plan and a status tell of files of guestnet's own: nothing where the file is new, each where it is not."""

from __future__ import annotations

from dataclasses import replace

from guestnet.compile import hookdata
from guestnet.decide.describe import describe
from guestnet.decide.desired import MEMORY, desired_state
from guestnet.decide.facts import Facts
from guestnet.decide.plan import Plan, make_plan
from guestnet.decide.state import APPLIED, SOURCE, File, Key, State, Table, Thing
from guestnet.decide.status import make_status
from guestnet.spec.memory import Memory
from tests.compile.test_golden import GOLDEN, made

WORLD, _ = made(GOLDEN / "040-forwards", Memory())
FACTS = Facts(hostname="kvm1", libvirt="9.0.0", hooks_loaded=True)
STATE: dict[Key, Thing] = {
    **desired_state(WORLD, FACTS, Memory(), "")[0],
    **{Key("memory", path): File("was") for path in (MEMORY, APPLIED, SOURCE)},
}
SILENT = ("memory", "hookdata", "folder")
STRAY = Key("hookdata", f"{hookdata.NOW}/stray")


def told(live: State, *, mends: bool) -> str:
    return "\n".join(f"{item.title}: {line}" for item in describe(plan(live, mends=mends)) for line, _ in item.lines)


def plan(live: State, *, mends: bool) -> Plan:
    return make_plan(WORLD, FACTS, live, STATE, WORLD, mends=mends)


def test_each_that_somebody_else_removed_or_changed() -> None:
    for key, thing in STATE.items():
        if key.kind not in SILENT:
            continue
        gone = {other: its for other, its in STATE.items() if other != key}
        said = told(gone, mends=True)
        assert said.startswith("guest ") if "/guests/" in key.name else said.startswith(f"host: + {key.name}"), key
        if isinstance(thing, File):
            changed = {**STATE, key: replace(thing, text=f"{thing.text}\n")}
            assert told(changed, mends=True).startswith(f"host: ~ {key.name}, "), key
    assert told({**STATE, STRAY: File("x")}, mends=True) == f"host: - {STRAY.name}, which the hooks read"


def test_many_that_the_hooks_read_are_counted() -> None:
    """A version that writes them otherwise changes one for each guest; a forward that differs is told all the same."""
    kept = {key: thing for key, thing in STATE.items() if key.kind == "hookdata" and isinstance(thing, File)}
    strays = {Key("hookdata", f"{hookdata.GUESTS}/stray{i}"): File("x") for i in range(11)}
    ten = dict(list(strays.items())[:10])
    assert told({**STATE, **ten}, mends=True).count("which the hooks read") == 10
    assert told({**STATE, **strays}, mends=True) == f"host: - 11 files in {hookdata.FOLDER}, which the hooks read"
    spelled = {key: replace(thing, text=f"{thing.text}\n") for key, thing in kept.items()}
    said = told({**STATE, **strays, **spelled}, mends=True).splitlines()
    assert said == [
        f"host: ~ {len(kept)} files in {hookdata.FOLDER}, which the hooks read",
        f"host: - 11 files in {hookdata.FOLDER}, which the hooks read",
    ]
    gone = {key: thing for key, thing in STATE.items() if not key.name.endswith("/guests/web1")}
    assert "+ forward " in told({**gone, **strays}, mends=True)


def test_what_follows_from_an_edit_of_the_file_is_left_out() -> None:
    live = {**STATE, Key("hookdata", hookdata.TABLE_FILE): File(""), Key("memory", SOURCE): File("")}
    assert told(live, mends=False) == ""
    (line,) = make_status(plan(live, mends=False), live).drift
    assert line == "host: files of guestnet's own differ from what the file makes of them"


def test_forwards_in_force_beside_a_stray() -> None:
    """A guest's own lines say which forwards change, where there are such lines; a file of nobody has none."""
    key = Key("table", "guestnet")
    table = STATE[key]
    assert isinstance(table, Table)
    live = {**STATE, STRAY: File("x"), key: replace(table, elements=(("any4", ("tcp . 9 : 10.0.0.9 . 9",)),))}
    assert "- in force: 9/tcp -> 9 (IPv4)" in told(live, mends=True)


def test_what_is_only_spelled_otherwise() -> None:
    live = {**STATE, Key("memory", SOURCE): File("# a comment")}
    assert plan(live, mends=False).changes == ()
    assert len(plan(live, mends=True).changes) == 1
