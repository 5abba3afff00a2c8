"""Files are put in place whole, readable for dnsmasq whatever the umask, and what is not ours is left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from guestnet.act.journal import Head, Journal
from guestnet.decide.state import File
from guestnet.host import files
from guestnet.words.problems import ConflictError, GuestnetError


def test_written_whole_with_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    old = os.umask(0o077)
    try:
        files.write(str(path), File("text\n"))
    finally:
        os.umask(old)
    assert files.read(str(path)) == File("text\n", 0o644)
    assert [folder.stat().st_mode & 0o777 for folder in (tmp_path / "a", tmp_path / "a" / "b")] == [0o755] * 2
    assert [entry.name for entry in path.parent.iterdir()] == ["file"], "no temporary is left"


def test_over_somebody_elses_text(tmp_path: Path) -> None:
    """Only as long as it is what was read."""
    path = tmp_path / "file"
    path.write_text("theirs\n")
    files.write(str(path), File("edited\n", 0o600), over="theirs\n")
    assert files.read(str(path)) == File("edited\n", 0o600)
    with pytest.raises(ConflictError, match="was changed meanwhile by somebody else"):
        files.write(str(path), File("mine\n"), over="theirs\n")
    assert path.read_text() == "edited\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    files.write(str(path), File("old\n"))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GuestnetError, match="No space left on device"):
        files.write(str(path), File("new\n"))
    assert path.read_text() == "old\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_what_stands_in_the_temporary_s_place_is_not_used(tmp_path: Path) -> None:
    """A link is not followed; and who made a file there, and has it open, does not have the new one open."""
    (tmp_path / "victim").write_text("precious")
    temporary = tmp_path / ".file.guestnet-new"
    temporary.symlink_to(tmp_path / "victim")
    files.write(str(tmp_path / "file"), File("x"))
    assert (tmp_path / "victim").read_text() == "precious"
    with temporary.open("w") as theirs:
        files.write(str(tmp_path / "file"), File("y"))
        theirs.write("theirs")
    assert files.read(str(tmp_path / "file")) == File("y")
    assert not temporary.exists()


def test_the_journal_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with files.temporary_of(path).open("w") as theirs:
        journal = Journal(Head("apply"), path)
        theirs.write("theirs")
    assert "theirs" not in path.read_text()
    journal.close()


def test_only_our_own_empty_folders_go(tmp_path: Path) -> None:
    hook = tmp_path / "hooks" / "qemu.d" / "50-guestnet"
    files.write(str(hook), File("x"))
    (hook.parent / "10-other").write_text("y")
    files.remove(str(hook))
    assert (hook.parent / "10-other").exists()
    (hook.parent / "10-other").unlink()
    files.write(str(hook), File("x"))
    files.remove(str(hook))
    assert not hook.parent.exists()
    assert (tmp_path / "hooks").exists()
    files.remove(str(hook))  # again: no error


def test_the_time_of_a_replaced_hook_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "hook"
    files.write(str(path), File("a"))
    os.utime(path, (1000, 1000))
    files.write(str(path), File("b"), keep_time=True)
    assert path.stat().st_mtime == 1000
    files.write(str(path), File("c"))
    assert path.stat().st_mtime > 1000


def test_reading(tmp_path: Path) -> None:
    assert files.read(str(tmp_path / "none")) is None
    assert files.read(str(tmp_path)) is None
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert files.read(str(tmp_path / "binary")) == File("(not text)", 0)
    assert files.names(str(tmp_path / "none")) == []


def test_told_to_end_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write(str(tmp_path / "file"), File("new\n"))
    assert list(tmp_path.iterdir()) == []
