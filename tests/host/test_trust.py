"""Who else may write what root reads, on files of this test; as root, or owners could not be made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from guestnet.host import trust
from guestnet.words.problems import ProblemsError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In folders of root's; what guestnet keeps on this machine, if anything, is not looked at."""
    if os.geteuid():
        pytest.skip("files of others can be made by root only")
    monkeypatch.setattr(trust, "OURS", ())
    monkeypatch.delenv("SUDO_UID", raising=False)
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    (folder / "guestnet.yaml").write_text("networks: {}\n")
    return folder / "guestnet.yaml"


def said(file: Path) -> str:
    try:
        trust.need_trusted(str(file))
    except ProblemsError as error:
        return "\n".join(map(str, error.problems))
    return ""


def test_roots_own(file: Path) -> None:
    assert said(file) == ""
    file.chmod(0o664)  # group root
    assert said(file) == ""


@pytest.mark.parametrize("above", [False, True])
def test_of_others(file: Path, above: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    which = file.parent if above else file
    os.chown(which, 65534, 0)
    assert said(file).startswith(
        f"{which} belongs to nobody: that is as much as being root, who reads {file} (chown root"
    )
    monkeypatch.setenv("SUDO_UID", "65534")
    assert said(file) == "", "whoever called sudo is root already"
    monkeypatch.setenv("SUDO_UID", "1000")
    assert said(file) != ""


@pytest.mark.parametrize("above", [False, True])
def test_written_by_all(file: Path, above: bool) -> None:
    which = file.parent if above else file
    which.chmod(0o757)
    assert f"{which} can be written by everybody" in said(file)
    assert f"(chmod go-w {which})" in said(file)
    which.chmod(0o775)
    os.chown(which, 0, 4)
    assert f"{which} can be written by group 4" in said(file)


def test_a_sticky_folder_above(file: Path) -> None:
    """As /tmp: nobody can put another file in the place of this one."""
    file.parent.chmod(0o1777)
    assert said(file) == ""


def test_a_link_into_others_folders(file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    file.rename(home / "mine.yaml")
    file.symlink_to(home / "mine.yaml")
    assert said(file) == ""
    os.chown(home, 65534, 0)
    assert f"{home} belongs to nobody" in said(file)


def test_what_is_not_there_and_a_pipe(file: Path) -> None:
    assert said(file.with_name("none.yaml")) == ""
    os.mkfifo(file.with_name("pipe"))
    os.chown(file.with_name("pipe"), 65534, 0)
    assert said(file.with_name("pipe")) == ""


def test_what_guestnet_keeps(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here not even who called sudo may."""
    kept = file.with_name("hook.py")
    kept.write_text("")
    monkeypatch.setattr(trust, "OURS", (str(kept),))
    monkeypatch.setenv("SUDO_UID", "65534")
    assert said(file) == ""
    os.chown(kept, 65534, 0)
    assert f"{kept} belongs to nobody" in said(file)
