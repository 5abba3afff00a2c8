"""The journal: what was begun is on disk, a torn last line counts as not begun, another version is refused."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from guestnet.act.journal import Begun, DamagedError, Edit, Head, Journal, forget, left, move_away, point
from guestnet.act.undo import Undo
from guestnet.decide.state import Change, Key, Setting
from guestnet.words.problems import GuestnetError, TheirsError

ONE = Change(Key("setting", "net/ipv4/ip_forward"), Setting("0"), Setting("1"))
TWO = Change(Key("setting", "net/ipv6/conf/up0/accept_ra"), None, Setting("2"))
HEAD = Head("apply", "/etc/guestnet/guestnet.yaml", Edit("one\n", "two\n"))
WHOLE = json.dumps({"guestnet journal": 2, **asdict(HEAD)}) + "\n"


def test_what_was_begun_is_left(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    assert left(path) is None
    journal = Journal(HEAD, path)
    assert left(path) == Begun(HEAD, ())
    journal.begin(ONE)
    journal.begin(TWO)
    assert left(path) == Begun(HEAD, (ONE, TWO))
    journal.close()
    assert left(path) is None


def test_one_that_has_ended_is_the_rollback_point(tmp_path: Path) -> None:
    path, kept = tmp_path / "journal", tmp_path / "rollback"
    assert point(kept) is None
    journal = Journal(HEAD, path)
    journal.begin(ONE, TWO)
    journal.keep(kept)
    assert left(path) is None
    assert point(kept) == Begun(HEAD, (ONE, TWO))
    whole = kept.read_bytes()
    for cut in range(len(whole)):
        kept.write_bytes(whole[:cut])
        with pytest.raises(DamagedError):
            point(kept)
        path.write_bytes(whole[:cut])
        found = left(path)
        assert found is not None
        assert found.changes == (ONE, TWO)[: len(found.changes)], "as far as it goes"


def test_a_torn_last_line_was_not_begun(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(HEAD, path)
    journal.begin(ONE)
    whole = path.read_text()
    journal.begin(TWO)
    for cut in range(len(whole), len(path.read_text())):
        path.write_text(path.read_text()[:cut] if cut == len(whole) else whole + '{"kind": "setting"')
        assert left(path) == Begun(HEAD, (ONE,))


@pytest.mark.parametrize(
    "text",
    [
        '{"guestnet journal": 1}\n',
        "not json\n",
        "[1]\n",
        "1\n",
        "\xff\n",
        "[" * 100_000 + "\n",
        WHOLE + '{"kind": "x"}\n',
        WHOLE + "[]\n",
    ],
)
def test_what_is_damaged_is_told_and_can_be_moved_away(tmp_path: Path, text: str) -> None:
    for read in (left, point):
        path = tmp_path / "journal"
        path.write_text(text)
        with pytest.raises(DamagedError, match="damaged, or of an older"):
            read(path)
        assert move_away(path).read_text() == text
        assert read(path) is None


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text('{"guestnet journal": 3}\n')
    with pytest.raises(GuestnetError, match="written by a newer guestnet") as raised:
        left(path)
    assert not isinstance(raised.value, DamagedError)
    forget(path)
    assert left(path) is None


def test_undo_goes_backwards_and_on_past_failures() -> None:
    done = []

    def put(change: Change) -> None:
        done.append(change)
        if change.key == TWO.key:
            raise GuestnetError("no", "try")

    problems = Undo(put, (ONE, TWO, ONE)).run()
    assert [change.key.name for change in done] == [ONE.key.name, TWO.key.name, ONE.key.name]
    assert [change.after for change in done] == [Setting("0"), None, Setting("0")]
    assert [str(problem) for problem in problems] == [f"{TWO.key.kind} {TWO.key.name} could not be put back: no (try)"]


def test_undo_leaves_what_is_somebody_elses_by_now() -> None:
    def put(change: Change) -> None:
        raise TheirsError(f"{change.key.name} is not guestnet's")

    assert Undo(put, (ONE, TWO)).run() == [], "nothing to see to: the journal can go"


def test_steps_written_together_are_all_there(tmp_path: Path) -> None:
    journal = Journal(HEAD, tmp_path / "journal")
    journal.begin(ONE, TWO)
    assert left(tmp_path / "journal") == Begun(HEAD, (ONE, TWO))
