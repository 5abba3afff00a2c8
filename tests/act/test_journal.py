"""The journal: what was begun is on disk, a torn last line counts as not begun, another version is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from guestnet.act.journal import Journal, forget, left
from guestnet.act.undo import Undo
from guestnet.decide.state import Change, Key, Setting
from guestnet.words.problems import GuestnetError

ONE = Change(Key("setting", "a"), Setting("0"), Setting("1"))
TWO = Change(Key("setting", "b"), None, Setting("2"))


def test_what_was_begun_is_left(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    assert left(path) is None
    journal = Journal(path)
    assert left(path) == ()
    journal.begin(ONE)
    journal.begin(TWO)
    assert left(path) == (ONE, TWO)
    journal.close()
    assert left(path) is None


def test_a_torn_last_line_was_not_begun(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.begin(ONE)
    whole = path.read_text()
    journal.begin(TWO)
    for cut in range(len(whole), len(path.read_text())):
        path.write_text(path.read_text()[:cut] if cut == len(whole) else whole + '{"kind": "setting"')
        assert left(path) == (ONE,)


@pytest.mark.parametrize(
    "text", ['{"guestnet journal": 2}\n', "not json\n", '{"guestnet journal": 1}\n{"kind": "x"}\n']
)
def test_another_version_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "journal"
    path.write_text(text)
    with pytest.raises(GuestnetError, match="move the file away"):
        left(path)
    forget(path)
    assert left(path) is None


def test_undo_goes_backwards_and_on_past_failures() -> None:
    done = []

    def put(change: Change) -> None:
        done.append(change)
        if change.key == TWO.key:
            raise GuestnetError("no", "try")

    problems = Undo(put, (ONE, TWO, ONE)).run()
    assert [change.key.name for change in done] == ["a", "b", "a"]
    assert [change.after for change in done] == [Setting("0"), None, Setting("0")]
    assert [str(problem) for problem in problems] == ["setting b could not be put back: no (try)"]


def test_steps_written_together_are_all_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.begin(ONE, TWO)
    assert left(tmp_path / "journal") == (ONE, TWO)
