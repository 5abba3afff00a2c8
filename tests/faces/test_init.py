"""`guestnet init --hooks-json`: what is printed, what is written, and what is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from guestnet.faces import cli
from guestnet.spec.load import load_spec, read_spec

HOOKS = """{
  "shop": { // the shop
    "interface": "virbr0", "private_ip": "192.168.122.20",
    "port_map": {"tcp": [[2201, 22], 80], "icmp": [8]},
  },
}
"""


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    path = tmp_path / "hooks.json"
    path.write_text(HOOKS)
    return path


def run(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> tuple[int, str, str]:
    code = cli.run([str(word) for word in argv])
    out, err = capsys.readouterr()
    return code, out, err


def test_it_prints_the_file_and_names_what_is_left_out(capsys: pytest.CaptureFixture[str], hooks: Path) -> None:
    code, out, err = run(capsys, "init", "--hooks-json", hooks)
    assert code == 0
    assert [str(forward.ports) for forward in load_spec(out, "out").guests["shop"].forwards] == ["2201", "80"]
    assert err.startswith(f"{hooks}:4:43: icmp is not forwarded")
    assert "1 not carried over" in err


def test_it_writes_a_file_that_check_takes(
    capsys: pytest.CaptureFixture[str], hooks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "new" / "guestnet.yaml"
    old = os.umask(0o077)
    try:
        code, out, err = run(capsys, "init", "-o", target, "--hooks-json", hooks)
    finally:
        os.umask(old)
    assert (code, out) == (0, "")
    assert f"guestnet -f {target} plan" in err
    assert target.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in target.parent.iterdir()] == ["guestnet.yaml"]
    assert run(capsys, "check", "-f", target)[0] == 0
    assert run(capsys, "render", "-f", target)[0] == 0


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_is_there_stays(capsys: pytest.CaptureFixture[str], hooks: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "there"
    if kind == "file":
        target.write_text("mine")
    elif kind == "link":
        target.symlink_to(tmp_path / "nowhere")
    else:
        target.mkdir()
    before = sorted(tmp_path.iterdir())
    code, out, err = run(capsys, "init", "--hooks-json", hooks, "-o", target)
    assert (code, out) == (1, "")
    assert err == f"{target} is there already (name another file with -o, or move that one away)\n"
    assert sorted(tmp_path.iterdir()) == before


def test_every_problem_at_once_and_nothing_written(
    capsys: pytest.CaptureFixture[str], hooks: Path, tmp_path: Path
) -> None:
    hooks.write_text('{"a": {"private_ip": "x",\n "port_map": {"tcp": [0,\n 70000]}}}')
    code, out, err = run(capsys, "init", "--hooks-json", hooks, "-o", tmp_path / "new.yaml")
    assert (code, out) == (1, "")
    assert [line.partition(":")[2].split(":")[0] for line in err.splitlines()[:-1]] == ["1", "2", "3"]
    assert err.splitlines()[-1] == "3 problems, nothing was written"
    assert [path.name for path in tmp_path.iterdir()] == ["hooks.json"]


@pytest.mark.parametrize("name", ["none.json", "."])
def test_a_file_that_cannot_be_read(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    code, out, err = run(capsys, "init", "--hooks-json", tmp_path / name)
    assert (code, out) == (1, "")
    assert "/etc/libvirt/hooks/hooks.json" in err


def test_without_the_option_it_asks_libvirt(capsys: pytest.CaptureFixture[str]) -> None:
    """Which does not run here; tests/live/test_adopt.py has one."""
    code, out, err = run(capsys, "init")
    assert (code, out) == (1, "")
    assert "libvirt does not answer" in err


def test_a_terminal_that_is_not_utf8_gets_utf8(hooks: Path) -> None:
    """And no libvirt: in a process where its binding can't even be imported."""
    hooks.write_text(HOOKS.replace("shop", "la boutique d'été 🛒"), encoding="utf-8")
    program = "import sys; sys.modules['libvirt'] = sys.modules['pyroute2'] = None\n"
    program += "from guestnet.faces.cli import main; main()"
    command = [sys.executable, "-c", program, "init", "--hooks-json", str(hooks)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert load_spec(done.stdout, "out").guests.keys() == {"la boutique d'été 🛒"}


def test_the_result_is_the_same_however_it_is_had(
    capsys: pytest.CaptureFixture[str], hooks: Path, tmp_path: Path
) -> None:
    _, printed, _ = run(capsys, "init", "--hooks-json", hooks)
    run(capsys, "init", "--hooks-json", hooks, "-o", tmp_path / "f")
    assert (tmp_path / "f").read_text() == printed
    assert read_spec(tmp_path / "f").guests
