"""Who else may write what root reads, on files of this test; as root, or owners could not be made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from guestnet.compile import hookfront
from guestnet.faces import cli, countdown
from guestnet.faces.hook import prepared
from guestnet.faces.hook.programs import HookError
from guestnet.host import lock, trust
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


@pytest.mark.parametrize("above", [False, True])
def test_of_others(file: Path, above: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    which = file.parent if above else file
    os.chown(which, 65534, 0)
    assert said(file).startswith(
        f"{which} belongs to nobody: that is as much as being root, who reads {file} (chown -h root"
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
    """As /tmp: nobody can put another folder or file in the place of root's."""
    file.parent.parent.chmod(0o1777)
    assert said(file) == ""
    file.parent.chmod(0o1777)
    assert said(file) == ""


def test_roots_own_group(file: Path) -> None:
    """A umask of 002, as root: who is in that group is as good as root."""
    for part in (file.parent, file):
        part.chmod(0o775)
        assert said(file) == ""
        os.chown(part, 0, 4)
        assert f"{part} can be written by group 4" in said(file)
        os.chown(part, 0, 0)


def test_a_link_into_others_folders(file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    file.rename(home / "mine.yaml")
    file.symlink_to(home / "mine.yaml")
    assert said(file) == ""
    os.chown(home, 65534, 0)
    assert f"{home} belongs to nobody" in said(file)


def test_links_of_links(file: Path, tmp_path: Path) -> None:
    """What lies between counts: whoever can turn the second link says what is read."""
    (tmp_path / "nob").mkdir()
    (tmp_path / "nob" / "l2").symlink_to(file)
    (tmp_path / "l1").symlink_to("nob/../nob/l2")
    assert said(tmp_path / "l1") == ""
    os.chown(tmp_path / "nob" / "l2", 65534, 0, follow_symlinks=False)
    assert f"{tmp_path}/nob/l2 belongs to nobody" in said(tmp_path / "l1")
    os.chown(tmp_path / "nob" / "l2", 0, 0, follow_symlinks=False)
    os.chown(tmp_path / "nob", 65534, 0)
    assert f"{tmp_path}/nob belongs to nobody" in said(tmp_path / "l1")
    (tmp_path / "round").symlink_to("round")
    assert said(tmp_path / "round") == "", "the reading says so"


def test_what_is_not_there_and_pipes(file: Path) -> None:
    assert said(file.with_name("none.yaml")) == ""
    ends = os.pipe()
    assert said(Path(f"/dev/fd/{ends[0]}")) == ""
    for end in ends:
        os.close(end)
    os.mkfifo(file.with_name("pipe"))
    assert said(file.with_name("pipe")) == ""
    os.chown(file.with_name("pipe"), 65534, 0)
    assert "pipe belongs to nobody" in said(file.with_name("pipe")), "one with a name is as any file"


def test_what_guestnet_keeps(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here not even who called sudo may."""
    kept = file.with_name("hook.py")
    kept.write_text("")
    monkeypatch.setattr(trust, "OURS", (str(kept),))
    monkeypatch.setenv("SUDO_UID", "65534")
    assert said(file) == ""
    os.chown(kept, 65534, 0)
    assert f"{kept} belongs to nobody" in said(file)


def test_everything_in_a_folder_of_ours(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who can write the way back says what root does on it."""
    ours = file.parent / "ours"
    (ours / "prefer-ipv6").mkdir(parents=True)
    monkeypatch.setattr(trust, "OURS", (str(ours),))
    for name in ("rollback", "journal", "confirm.json", "memory.json", "prefer-ipv6/web1"):
        (ours / name).write_text("")
        trust.need_kept()
        (ours / name).chmod(0o666)
        with pytest.raises(ProblemsError, match=f"{ours}/{name} can be written by everybody"):
            trust.need_kept()
        assert f"{ours}/{name} can be written by everybody" in said(file)
        (ours / name).chmod(0o600)


def test_a_folder_of_ours_that_is_a_link(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root may have it, whose /var is small: what is used is what lies there."""
    ours, there = file.parent / "ours", file.parent / "srv" / "gn"
    monkeypatch.setattr(trust, "OURS", (str(ours),))
    there.mkdir(parents=True)
    (there / "rollback").write_text("")
    for target in (str(there), "srv/gn", "srv/gn/../gn/deep/.."):
        (there / "deep").mkdir(exist_ok=True)
        ours.symlink_to(target)
        trust.need_kept()
        (there / "rollback").chmod(0o666)
        with pytest.raises(ProblemsError, match=f"{there}/rollback can be written by everybody"):
            trust.need_kept()
        (there / "rollback").chmod(0o600)
        ours.unlink()
    ours.symlink_to(there / "none")
    (there / "rollback").chmod(0o666)
    trust.need_kept()  # nothing in `there` is what guestnet keeps


def test_links_in_a_folder_of_ours(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, there = file.parent / "ours", file.parent / "srv"
    monkeypatch.setattr(trust, "OURS", (str(ours),))
    ours.mkdir()
    (there / "gais").mkdir(parents=True)
    (there / "gais" / "web1").write_text("")
    (there / "memory").write_text("")
    (ours / "memory.json").symlink_to(there / "memory")
    (ours / "prefer-ipv6").symlink_to(there / "gais")
    (ours / "round").symlink_to(".")
    (ours / "nowhere").symlink_to(there / "none")
    trust.need_kept()
    for which in (there, there / "memory", there / "gais", there / "gais" / "web1"):
        before = which.stat().st_mode
        which.chmod(0o777)
        with pytest.raises(ProblemsError, match=f"{which} can be written by everybody"):
            trust.need_kept()
        which.chmod(before)


def test_guestnets_own_code(tmp_path: Path) -> None:
    """Installed as pip does it, and started as root: each file of it can be the one."""
    package = tmp_path / "site" / "guestnet"
    shutil.copytree(trust.CODE, package, ignore=shutil.ignore_patterns("__pycache__"))
    ask = "import sys; sys.path.insert(0, sys.argv[1]); from guestnet.host import trust\n"
    ask += "for one in trust.code(): print(f'{one.what} ({one.todo})')"

    def says(**environment: str) -> str:
        words = [sys.executable, "-IBc", ask, str(package.parent)]
        return subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout

    assert str(package) not in says(), "what else there is, is this machine's"
    module = package / "words" / "ports.py"
    module.chmod(0o666)
    assert f"{module} can be written by everybody" in says()
    assert f"(chmod -R go-w {package}, or" in says()
    module.chmod(0o644)
    os.chown(module, 65534, 0)
    assert f"{module} belongs to nobody" in says()
    assert str(package) not in says(SUDO_UID="65534"), "a checkout of who called sudo"
    os.chown(module, 0, 0)
    package.parent.chmod(0o777)
    assert f"{package.parent} can be written by everybody" in says()


def test_what_confirms_and_what_undoes_looks_first(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (file.parent / "rollback").write_text("")
    (file.parent / "rollback").chmod(0o666)
    monkeypatch.setattr(trust, "OURS", (str(file.parent),))
    monkeypatch.setattr(lock, "FOLDER", file.parent)
    assert cli.run(["confirm"]) == 1
    assert "rollback can be written by everybody" in capsys.readouterr().err
    with pytest.raises(ProblemsError, match="rollback can be written by everybody"):
        countdown._undo("none:///there")


def test_a_sticky_folder_of_ours_says_how_to_mend_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "OURS", (str(file.parent),))
    file.parent.chmod(0o1777)
    with pytest.raises(ProblemsError, match=f"everybody to add to.*chmod go-w,-t {file.parent}"):
        trust.need_kept()


def _cli(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(trust, "OURS", (str(folder),))
    try:
        trust.need_kept()
    except ProblemsError:
        return False
    return True


def _hook(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(prepared, "COMPILED", str(folder))
    try:
        prepared.trust()
    except HookError:
        return False
    return True


def _front(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    (folder / "hook.py").write_text("def run():\n    print('runs')\n")
    monkeypatch.setattr(hookfront, "PROGRAM", str(folder / "hook.py"))
    monkeypatch.setattr(hookfront, "COMPILED", str(folder.parent / "python"))
    done = subprocess.run(["/bin/sh", "-c", hookfront.text()], capture_output=True, text=True, check=True)
    return done.stdout == "runs\n"


@pytest.mark.parametrize("asked", [_cli, _hook, _front])
@pytest.mark.parametrize(
    ("mode", "owner", "group", "trusted"),
    [
        (0o755, 0, 0, True),
        (0o700, 0, 4, True),
        (0o2755, 0, 4, True),
        (0o775, 0, 0, False),
        (0o775, 0, 4, False),
        (0o757, 0, 0, False),
        (0o1777, 0, 0, False),
        (0o755, 65534, 0, False),
    ],
)
def test_guestnet_and_its_hook_trust_the_same(  # noqa: PLR0913, PLR0917  the table's columns
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: int,
    owner: int,
    group: int,
    trusted: bool,
    asked: Callable[[Path, pytest.MonkeyPatch], bool],
) -> None:
    """Else a folder that one of them refuses turns the hook off, and nothing says why."""
    folder = file.parent / "compiled"
    folder.mkdir()
    os.chown(folder, owner, group)
    folder.chmod(mode)
    assert asked(folder, monkeypatch) is trusted
